/*
 * Domains at which anybody may have a mailbox: their pages say nothing of the person, and no contact is enriched by itself for an address there.
 */
const domains = new Set(
  `gmail.com googlemail.com outlook.com outlook.de outlook.fr hotmail.com hotmail.co.uk hotmail.de hotmail.fr hotmail.it hotmail.es live.com live.co.uk
  live.de live.fr live.nl msn.com yahoo.com yahoo.co.uk yahoo.de yahoo.fr yahoo.it yahoo.es yahoo.co.jp yahoo.co.in yahoo.com.br ymail.com rocketmail.com
  aol.com aim.com icloud.com me.com mac.com proton.me protonmail.com protonmail.ch pm.me gmx.com gmx.de gmx.net gmx.at gmx.ch web.de t-online.de freenet.de
  posteo.de mailbox.org mail.com email.com usa.com tutanota.com tutanota.de tuta.com tuta.io zoho.com zohomail.com fastmail.com fastmail.fm hushmail.com
  orange.fr wanadoo.fr free.fr laposte.net sfr.fr libero.it virgilio.it alice.it tiscali.it tin.it telenet.be skynet.be ziggo.nl kpnmail.nl planet.nl
  hetnet.nl bluewin.ch sunrise.ch btinternet.com sky.com virginmedia.com ntlworld.com talktalk.net blueyonder.co.uk comcast.net verizon.net att.net
  sbcglobal.net bellsouth.net cox.net charter.net earthlink.net juno.com rogers.com shaw.ca bell.net sympatico.ca telus.net bigpond.com optusnet.com.au
  mail.ru bk.ru inbox.ru list.ru yandex.ru yandex.com ya.ru rambler.ru qq.com 163.com 126.com yeah.net sina.com sohu.com foxmail.com aliyun.com naver.com
  daum.net hanmail.net rediffmail.com seznam.cz centrum.cz wp.pl o2.pl onet.pl interia.pl abv.bg ukr.net uol.com.br bol.com.br terra.com.br
  telia.com spray.se online.no home.nl inbox.lv inbox.lt mail.ee duck.com simplelogin.com anonaddy.com mailinator.com guerrillamail.com
  10minutemail.com yopmail.com trashmail.com`
    .split(/\s+/)
    .filter(Boolean),
)

/** @param domain lower case, in ASCII */
export const isFreeMail = (domain: string): boolean => domains.has(domain)
