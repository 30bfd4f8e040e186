/**
 * Domains whose addresses anybody can have: they say nothing of who somebody works for. Made by hand: the large providers of free mail of all countries,
 * under all the domains that they give to everybody, and those of addresses that forward or last for a while. Names below one of them belong to it.
 */
const names = `
gmail.com googlemail.com
outlook.com hotmail.com live.com msn.com outlook.de outlook.fr outlook.es outlook.it outlook.jp outlook.in hotmail.co.uk hotmail.de hotmail.fr hotmail.it
hotmail.es hotmail.nl hotmail.be hotmail.se hotmail.no hotmail.dk hotmail.co.jp hotmail.ca hotmail.com.br live.co.uk live.de live.fr live.it live.nl live.be
live.se live.no live.dk live.ca live.com.au live.jp windowslive.com passport.com
yahoo.com ymail.com rocketmail.com yahoo.co.uk yahoo.de yahoo.fr yahoo.it yahoo.es yahoo.ca yahoo.com.br yahoo.com.mx yahoo.com.ar yahoo.com.au yahoo.co.in
yahoo.in yahoo.co.jp yahoo.co.id yahoo.com.sg yahoo.com.ph yahoo.com.tw yahoo.com.hk yahoo.com.vn yahoo.ie yahoo.gr yahoo.se yahoo.no yahoo.dk yahoo.pl yahoo.ro
aol.com aol.de aol.fr aol.co.uk aim.com verizon.net netscape.net
icloud.com me.com mac.com
proton.me protonmail.com protonmail.ch pm.me tutanota.com tutanota.de tutamail.com tuta.io tuta.com keemail.me hushmail.com
mailfence.com runbox.com posteo.de posteo.net mailbox.org disroot.org riseup.net startmail.com fastmail.com fastmail.fm hey.com
zoho.com zohomail.com zohomail.eu zohomail.in mail.com email.com usa.com inbox.com gmx.com lycos.com excite.com juno.com netzero.net
gmx.de gmx.net gmx.at gmx.ch web.de freenet.de t-online.de arcor.de online.de email.de
orange.fr wanadoo.fr free.fr sfr.fr laposte.net neuf.fr bbox.fr numericable.fr
libero.it virgilio.it tiscali.it alice.it tin.it inwind.it iol.it email.it
terra.com.br uol.com.br bol.com.br ig.com.br globo.com
btinternet.com blueyonder.co.uk ntlworld.com virginmedia.com sky.com talktalk.net tiscali.co.uk
comcast.net att.net sbcglobal.net bellsouth.net cox.net charter.net earthlink.net optonline.net roadrunner.com frontier.com windstream.net
rogers.com shaw.ca sympatico.ca bell.net telus.net videotron.ca
bigpond.com bigpond.net.au optusnet.com.au iinet.net.au xtra.co.nz
telenet.be skynet.be ziggo.nl kpnmail.nl planet.nl xs4all.nl hetnet.nl chello.nl home.nl
bluewin.ch hispeed.ch sunrise.ch
wp.pl o2.pl onet.pl onet.eu interia.pl interia.eu op.pl tlen.pl gazeta.pl
seznam.cz email.cz centrum.cz post.cz volny.cz azet.sk zoznam.sk centrum.sk
freemail.hu citromail.hu indamail.hu abv.bg mail.bg dir.bg
mail.ru bk.ru inbox.ru list.ru internet.ru rambler.ru yandex.ru yandex.com ya.ru yandex.by yandex.kz yandex.ua ukr.net i.ua meta.ua
inbox.lv inbox.lt mail.ee hot.ee
qq.com foxmail.com 163.com 126.com yeah.net sina.com sina.cn sohu.com aliyun.com 139.com 189.cn 21cn.com tom.com
naver.com hanmail.net daum.net nate.com
docomo.ne.jp ezweb.ne.jp softbank.ne.jp nifty.com biglobe.ne.jp
rediffmail.com sify.com in.com indiatimes.com
walla.co.il walla.com zahav.net.il
mynet.com
telia.com spray.se bredband.net online.no
sapo.pt iol.pt
duck.com anonaddy.com simplelogin.com mailinator.com guerrillamail.com 10minutemail.com yopmail.com trashmail.com
`

export const freeMailDomains: ReadonlySet<string> = new Set(names.trim().split(/\s+/))
