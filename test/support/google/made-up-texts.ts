import type { Language } from './made-up-people.ts'

/*
 * What people write to each other at work. In braces stands what a conversation is about; see `filled` in made-up-mailbox.ts.
 */
export type Topic = {
  readonly subjects: readonly string[]
  readonly openings: readonly string[]
  /** Each can follow on each. */
  readonly replies: readonly string[]
  readonly file?: 'pdf' | 'csv' | 'png' | 'ics'
}

export type Tongue = {
  readonly greetings: readonly string[]
  readonly closings: readonly string[]
  readonly thanks: readonly string[]
  readonly replyPrefix: string
  /** The line above a quote. */
  readonly wrote: (date: string, name: string) => string
  readonly away: { readonly subject: string; readonly text: string }
  readonly charsets: readonly string[]
  readonly topics: readonly Topic[]
}

const english: Topic[] = [
  {
    subjects: ['Quote for {number} {product}', 'Offer {reference}: {product}', 'Pricing for {product}'],
    openings: [
      'we are planning to fit {number} {product} at our site in {city} and would like a quote, with delivery and commissioning. Could you also say what the lead time is at the moment?',
      'following our call yesterday, please send us your best price for {number} {product}. We need them on site by {day}.',
      'as promised, here is our offer for {number} {product}: {amount}, delivered to {city}. It is valid for thirty days.',
    ],
    replies: [
      'Thank you. The price looks fine, but the payment terms do not: we need sixty days rather than thirty. Is that possible?',
      'I have spoken to our finance people. We can do {amount} if the order is placed before {day}.',
      'Two questions before I take this to the board: is the mounting kit included, and who pays for the freight to {city}?',
      'The mounting kit is included, freight is not. I have attached the revised version with both listed separately.',
      'We have compared three offers now. Yours is not the cheapest, but the only one with a calibration certificate for each unit.',
      'Could you split the delivery? We can take half of the {product} at once and the rest a month later.',
      'A split delivery is no problem. I will put both dates into the order confirmation.',
      'The order is on its way, number {reference}. Please confirm by {day}.',
    ],
    file: 'pdf',
  },
  {
    subjects: ['Meeting on {day}?', 'Visit to {city}', 'Call about {product}'],
    openings: [
      'I will be in {city} on {day} and would like to see how the {product} are doing. Do you have an hour in the morning?',
      'could we talk about the {product} this week? I have time on {day}, before eleven or after three.',
      'our technicians would like to show you the new line. Would {day} suit you, here in {city}?',
    ],
    replies: [
      '{day} works for me. Shall we say ten o’clock?',
      'Ten is a little early, my train arrives at half past nine. Half past ten?',
      'Half past ten it is. I have booked the small meeting room and sent you an invitation.',
      'Something has come up, I am sorry: can we move it by a week?',
      'No problem. I have moved it to {day}, same time.',
      'Here is what I would like to go through: the readings since spring, the two failed units, and next year’s numbers.',
      'Please bring safety shoes, we will walk through the hall.',
      'Thank you for your time today. I have written down what we agreed: you send the readings, we replace the two units free of charge.',
    ],
    file: 'ics',
  },
  {
    subjects: ['Invoice {reference}', 'Question about invoice {reference}', 'Overdue: invoice {reference}'],
    openings: [
      'on invoice {reference} you charged {number} {product}, but only part of them arrived. Could you check?',
      'according to our books invoice {reference} over {amount} has not been paid yet. Perhaps it went astray?',
      'please find attached invoice {reference} over {amount} for the delivery of last week.',
    ],
    replies: [
      'You are right, one box is still in our warehouse. It leaves today, and I have asked accounts for a credit note.',
      'The invoice needs our purchase order number, otherwise accounts will not pay it. It is {reference}.',
      'I have attached the corrected invoice.',
      'It was paid on {day}; the bank says it takes two days.',
      'The payment has arrived, thank you. The reminder crossed with it.',
      'Our address has changed, by the way. Please use the one in {city} from now on.',
      'Noted and changed. You will find the new address on the next one.',
    ],
    file: 'pdf',
  },
  {
    subjects: ['Delivery {reference} delayed', 'Where is {reference}?', 'Shipment to {city}'],
    openings: [
      'the {product} that were promised for {day} have not arrived, and our line stands still without them. Where are they?',
      'I have to tell you that delivery {reference} will be a week late: the carrier lost a day at the border and the rest to a strike.',
    ],
    replies: [
      'I have just spoken with the carrier. The lorry is in {city} and will be with you on {day}.',
      'That is too late. Can you send at least {number} of them by express?',
      'We will send {number} by express today, at our cost.',
      'They have arrived, thank you for the quick help. One box is damaged, see the picture.',
      'I am sorry to see that. Please keep the box; a replacement leaves tomorrow.',
      'How do we avoid this next time? I would rather order earlier than pay for express.',
      'I suggest a standing order with a small stock at your site. I will write something up.',
    ],
    file: 'png',
  },
  {
    subjects: ['Readings from {city}', '{product}: strange values', 'Support case {reference}'],
    openings: [
      'since {day} three of the {product} report values that cannot be right: they jump by ten degrees and back. I have attached an extract.',
      'after the update the {product} in {city} lose the connection every few hours. Is that known?',
    ],
    replies: [
      'Thank you for the extract. It looks like a loose shield on the cable; could you check the connector first?',
      'The connector is fine. We swapped two units and the fault stays with the place, not with the unit.',
      'Then it is something nearby. Is there a new drive or a welder in that hall?',
      'There is indeed a new compressor, since last week. We will move the cable.',
      'We moved the cable and the values are quiet. You may close the case.',
      'Could you send us the firmware version? You find it under Settings, About.',
      'It is 4.{number}.2 on all of them.',
      'Version 4.{number}.3 fixes exactly that. I have attached the notes.',
    ],
    file: 'csv',
  },
  {
    subjects: ['Contract {reference}', 'Renewal of the maintenance contract', 'Framework agreement with {company}'],
    openings: [
      'the maintenance contract for the {product} ends on {day}. We would like to renew it for three years, on the same terms.',
      'please find attached the draft of our framework agreement. Our lawyers have marked two clauses that they would like to talk about.',
    ],
    replies: [
      'Thank you for the draft. Clause seven is fine for us, clause nine (liability) is not.',
      'We can cap the liability at twice the yearly fee. Would that do?',
      'That would do. Please send the changed version and I will have it signed this week.',
      'Here is the signed copy. A paper one follows by post.',
      'Before we renew: the response time was missed four times last year. We need a remedy for that in the contract.',
      'Fair point. I have added a credit of five per cent for each missed call-out.',
      'Who signs on your side? We need a name and a title for the first page.',
    ],
    file: 'pdf',
  },
  {
    subjects: ['Introduction', '{company} and {product}', 'We met at the fair in {city}'],
    openings: [
      'we met at the fair in {city}, at the stand beside the coffee. You said that you were looking for {product}; I would like to show you what we make.',
      'a colleague gave me your name. We are {company}, and we wonder whether your {product} would work in a very wet place.',
    ],
    replies: [
      'I remember well, thank you for writing. We are indeed looking, though not before next quarter.',
      'They do work in wet places: the housing is IP69K. How many places are there?',
      'About {number}. We would begin with one hall and decide after half a year.',
      'Then I suggest a trial: five units, free for three months, and you keep the readings.',
      'A trial sounds good. Who on your side would look after it?',
      'My colleague will; I have put her in copy.',
      'The trial units are packed. What is the best address in {city}?',
      'Half a year already! The trial went well, and we would like to go on.',
    ],
  },
  {
    subjects: ['Project plan {city}', 'Kick-off {product}', 'Minutes of {day}'],
    openings: [
      'here is the plan for {city}: installation in two weeks, commissioning in the third, acceptance on {day}. Please tell me if something is missing.',
      'thank you all for the kick-off. Minutes are below; the open points are the power supply, the network and who trains the night shift.',
    ],
    replies: [
      'The network will be ready on {day}, our IT people say.',
      'The night shift can only be trained at night. Can somebody of yours stay until midnight?',
      'We can do that, on {day} and the day after.',
      'The electrician has a question: is it one fuse for each cabinet or one for all?',
      'One for each cabinet, please. The drawing is attached.',
      'Installation is finished, {number} units are online. Two are missing their labels.',
      'Acceptance is signed. It was a pleasure; on to the next hall.',
      'I have updated the list of open points. Four are left, all of them ours.',
    ],
    file: 'pdf',
  },
  {
    subjects: ['Data protection questionnaire', 'Supplier self-assessment {reference}', 'Audit on {day}'],
    openings: [
      'as every year we ask our suppliers to fill in the attached questionnaire by {day}. It takes about half an hour.',
      'our auditor would like to see how calibration records are kept. Could you show us on {day}?',
    ],
    replies: [
      'It is filled in and attached. For question 14 we would need to know which site you mean.',
      'The site in {city}. All others are exempt.',
      'Then the answer is no, nothing is stored there.',
      'The auditor is content. There is one remark, about the age of two certificates.',
      'Both certificates have been renewed; copies are attached.',
    ],
    file: 'pdf',
  },
]

const german: Topic[] = [
  {
    subjects: ['Angebot {reference}', 'Anfrage: {number} {product}', 'Ihr Angebot über {product}'],
    openings: [
      'für unser Werk in {city} benötigen wir {number} {product}. Bitte senden Sie uns ein Angebot mit Lieferzeit und Preis für die Inbetriebnahme.',
      'vielen Dank für das Gespräch. Anbei erhalten Sie unser Angebot über {amount}, gültig bis {day}.',
    ],
    replies: [
      'Besten Dank. Können Sie beim Preis noch etwas machen? Wir würden dafür bis {day} bestellen.',
      'Bei Bestellung bis {day} können wir {amount} anbieten, frei Haus.',
      'Ist die Kalibrierung nach Norm enthalten? Unsere Prüfer bestehen darauf.',
      'Ja, jedes Gerät kommt mit Prüfschein. Die geänderte Fassung hängt an.',
      'Die Bestellung {reference} ist unterwegs. Bitte bestätigen Sie den Termin.',
      'Der Termin ist bestätigt, die Lieferung geht am {day} hinaus.',
    ],
    file: 'pdf',
  },
  {
    subjects: ['Termin in {city}', 'Besprechung am {day}', 'Rückruf'],
    openings: [
      'ich bin am {day} in {city} und würde gern kurz bei Ihnen vorbeikommen. Hätten Sie vormittags eine Stunde Zeit?',
      'können wir diese Woche über die {product} sprechen? Mir würde {day} gut passen.',
    ],
    replies: [
      '{day} passt gut, sagen wir um zehn Uhr.',
      'Leider ist mir etwas dazwischengekommen. Geht es auch eine Woche später?',
      'Das geht, ich habe den Termin verschoben.',
      'Bitte denken Sie an Sicherheitsschuhe, wir gehen durch die Halle.',
      'Danke für den Besuch. Ich habe zusammengefasst, was wir vereinbart haben.',
    ],
    file: 'ics',
  },
  {
    subjects: ['Rechnung {reference}', 'Mahnung zu {reference}', 'Lieferung {reference} unvollständig'],
    openings: [
      'zu Rechnung {reference} fehlt uns noch ein Teil der Lieferung. Bitte prüfen Sie das.',
      'nach unseren Unterlagen ist Rechnung {reference} über {amount} noch offen. Sollte sich das überschnitten haben, betrachten Sie dieses Schreiben als gegenstandslos.',
    ],
    replies: [
      'Sie haben recht, ein Karton steht noch bei uns. Er geht heute hinaus.',
      'Die Zahlung ist am {day} hinausgegangen.',
      'Bitte schreiben Sie unsere Bestellnummer auf die Rechnung, sonst zahlt die Buchhaltung nicht.',
      'Anbei die berichtigte Rechnung. Entschuldigen Sie die Umstände.',
      'Der Betrag ist eingegangen, vielen Dank.',
    ],
    file: 'pdf',
  },
  {
    subjects: ['Störung an {product}', 'Messwerte aus {city}'],
    openings: [
      'seit {day} melden drei {product} Werte, die nicht stimmen können: sie springen um zehn Grad und zurück. Ein Auszug hängt an.',
      'nach der Umstellung verlieren die Geräte in {city} alle paar Stunden die Verbindung. Ist das bekannt?',
    ],
    replies: [
      'Danke für den Auszug. Prüfen Sie bitte zuerst den Schirm am Stecker.',
      'Der Stecker ist in Ordnung. Der Fehler bleibt am Ort, nicht am Gerät.',
      'Steht in der Nähe ein neuer Antrieb oder ein Schweißgerät?',
      'Tatsächlich, seit letzter Woche ein Kompressor. Wir verlegen das Kabel.',
      'Seit das Kabel verlegt ist, herrscht Ruhe. Schöne Grüße aus {city}.',
    ],
    file: 'csv',
  },
]

const french: Topic[] = [
  {
    subjects: ['Devis {reference}', 'Demande de prix : {product}', 'Votre offre du {day}'],
    openings: [
      'nous souhaitons équiper notre site de {city} de {number} {product}. Pourriez-vous nous adresser un devis, livraison et mise en service comprises ?',
      'suite à notre échange, veuillez trouver ci-joint notre offre d’un montant de {amount}, valable jusqu’au {day}.',
    ],
    replies: [
      'Merci beaucoup. Un geste sur le prix serait apprécié si nous commandons avant le {day}.',
      'Nous pouvons descendre à {amount}, franco de port.',
      'L’étalonnage est-il inclus ? Nos auditeurs l’exigent.',
      'Oui, chaque appareil est livré avec son certificat. La version modifiée est jointe.',
      'La commande {reference} est partie ce matin.',
      'Bien reçu, la livraison est prévue le {day}.',
    ],
    file: 'pdf',
  },
  {
    subjects: ['Rendez-vous à {city}', 'Réunion du {day}'],
    openings: [
      'je serai à {city} le {day} et j’aimerais passer vous voir. Auriez-vous une heure le matin ?',
      'pourrions-nous parler des {product} cette semaine ? Le {day} me conviendrait.',
    ],
    replies: [
      'C’est noté, disons à dix heures.',
      'J’ai un empêchement, désolée. Peut-on repousser d’une semaine ?',
      'Aucun problème, j’ai déplacé la réunion.',
      'N’oubliez pas vos chaussures de sécurité, nous passerons par l’atelier.',
      'Merci pour votre visite. Vous trouverez ci-dessous ce que nous avons convenu.',
    ],
    file: 'ics',
  },
  {
    subjects: ['Facture {reference}', 'Retard de livraison {reference}'],
    openings: [
      'sauf erreur de notre part, la facture {reference} de {amount} reste impayée à ce jour.',
      'les {product} promis pour le {day} ne sont toujours pas arrivés à {city}. Où en est-on ?',
    ],
    replies: [
      'Le transporteur annonce la livraison pour le {day}.',
      'C’est trop tard pour nous. Pouvez-vous en expédier {number} en express ?',
      'Entendu, {number} partent aujourd’hui, à nos frais.',
      'Le virement a été effectué le {day}.',
      'Bien reçu, merci et bonne fin de journée.',
    ],
    file: 'pdf',
  },
]

const spanish: Topic[] = [
  {
    subjects: ['Presupuesto {reference}', 'Consulta sobre {product}'],
    openings: [
      'necesitamos {number} {product} para la planta de {city}. ¿Podría enviarnos un presupuesto con el plazo de entrega?',
      'adjunto nuestro presupuesto por {amount}, válido hasta el {day}.',
    ],
    replies: [
      'Muchas gracias. ¿Sería posible un pequeño descuento si pedimos antes del {day}?',
      'Podemos dejarlo en {amount}, portes incluidos.',
      '¿Viene cada aparato con su certificado de calibración?',
      'Sí, todos. Le adjunto la versión corregida.',
      'El pedido {reference} ya está en camino. ¡Que tenga un buen fin de semana!',
    ],
    file: 'pdf',
  },
  {
    subjects: ['Reunión del {day}', 'Visita a {city}'],
    openings: ['estaré en {city} el {day} y me gustaría pasar a verle. ¿Tendría una hora por la mañana?'],
    replies: [
      'Perfecto, a las diez.',
      'Me ha surgido un imprevisto; ¿podemos aplazarlo una semana?',
      'Sin problema, ya lo he cambiado.',
      'Gracias por la visita. Mañana le envío las lecturas.',
    ],
    file: 'ics',
  },
]

const polish: Topic[] = [
  {
    subjects: ['Oferta {reference}', 'Zapytanie: {product}'],
    openings: [
      'potrzebujemy {number} {product} do zakładu w {city}. Proszę o ofertę z terminem dostawy.',
      'w załączeniu przesyłam ofertę na kwotę {amount}, ważną do {day}.',
    ],
    replies: [
      'Dziękuję. Czy przy zamówieniu do {day} możliwy jest rabat?',
      'Możemy zaproponować {amount} z dostawą.',
      'Czy świadectwo wzorcowania jest w cenie?',
      'Tak, każde urządzenie ma własne świadectwo. Poprawiona wersja w załączeniu.',
      'Zamówienie {reference} zostało wysłane.',
    ],
    file: 'pdf',
  },
]

const japanese: Topic[] = [
  {
    subjects: ['お見積りのお願い（{reference}）', '{product} の納期について'],
    openings: [
      'いつもお世話になっております。{product} を {number} 台検討しております。お見積りと納期をお知らせいただけますでしょうか。',
      'お見積書をお送りいたします。金額は {amount} です。ご確認ください。',
    ],
    replies: [
      'ご連絡ありがとうございます。社内で確認いたします。',
      '納期は {day} を予定しております。',
      '校正証明書は付属しますか。',
      'はい、すべての製品に付属いたします。',
      '注文書 {reference} をお送りしました。よろしくお願いいたします。',
    ],
    file: 'pdf',
  },
]

export const tongues: Record<Language, Tongue> = {
  en: {
    greetings: ['Hi {to},', 'Hello {to},', 'Dear {to},', '{to},'],
    closings: ['Best regards', 'Kind regards', 'Thanks', 'Best', 'Cheers'],
    thanks: [
      'Thank you, that is all I needed.',
      'Perfect, thanks.',
      'Great, we are all set then.',
      'Many thanks for your help, have a good weekend.',
    ],
    replyPrefix: 'Re: ',
    wrote: (date, name) => `On ${date}, ${name} wrote:`,
    away: {
      subject: 'Automatic reply: ',
      text: 'Thank you for your message. I am out of the office until {day} and read mail only now and then. In urgent cases please call our main number.',
    },
    charsets: ['utf-8', 'utf-8', 'utf-8', 'windows-1252'],
    topics: english,
  },
  de: {
    greetings: ['Guten Tag {to},', 'Hallo {to},', 'Sehr geehrte Damen und Herren,'],
    closings: ['Mit freundlichen Grüßen', 'Viele Grüße', 'Beste Grüße'],
    thanks: ['Vielen Dank, damit ist alles geklärt.', 'Prima, danke!', 'Herzlichen Dank und ein schönes Wochenende.'],
    replyPrefix: 'AW: ',
    wrote: (date, name) => `Am ${date} schrieb ${name}:`,
    away: {
      subject: 'Automatische Antwort: ',
      text: 'Vielen Dank für Ihre Nachricht. Ich bin bis {day} nicht im Büro. In dringenden Fällen wählen Sie bitte die Zentrale.',
    },
    charsets: ['utf-8', 'iso-8859-1', 'windows-1252'],
    topics: german,
  },
  fr: {
    greetings: ['Bonjour {to},', 'Madame, Monsieur,'],
    closings: ['Cordialement', 'Bien à vous', 'Bien cordialement'],
    thanks: ['Parfait, merci beaucoup.', 'Tout est clair, merci et à bientôt.'],
    replyPrefix: 'RE: ',
    wrote: (date, name) => `Le ${date}, ${name} a écrit :`,
    away: {
      subject: 'Réponse automatique : ',
      text: 'Merci de votre message. Je suis absente du bureau jusqu’au {day}. En cas d’urgence, merci d’appeler le standard.',
    },
    charsets: ['utf-8', 'windows-1252', 'iso-8859-15'],
    topics: french,
  },
  es: {
    greetings: ['Hola {to}:', 'Estimado cliente:', 'Buenos días, {to}:'],
    closings: ['Un saludo', 'Saludos cordiales', 'Atentamente'],
    thanks: ['Perfecto, muchas gracias.', 'De acuerdo, quedo a su disposición.'],
    replyPrefix: 'RE: ',
    wrote: (date, name) => `El ${date}, ${name} escribió:`,
    away: { subject: 'Respuesta automática: ', text: 'Gracias por su mensaje. Estaré fuera de la oficina hasta el {day}.' },
    charsets: ['utf-8', 'iso-8859-1'],
    topics: spanish,
  },
  pl: {
    greetings: ['Dzień dobry,', 'Szanowni Państwo,'],
    closings: ['Pozdrawiam', 'Z poważaniem'],
    thanks: ['Dziękuję, wszystko jasne.', 'Świetnie, dziękuję bardzo.'],
    replyPrefix: 'Odp: ',
    wrote: (date, name) => `W dniu ${date} ${name} napisał(a):`,
    away: { subject: 'Odpowiedź automatyczna: ', text: 'Dziękuję za wiadomość. Jestem poza biurem do {day}.' },
    charsets: ['utf-8', 'iso-8859-2'],
    topics: polish,
  },
  ja: {
    greetings: ['{to} 様', 'お世話になっております。'],
    closings: ['よろしくお願いいたします。'],
    thanks: ['ありがとうございます。承知いたしました。'],
    replyPrefix: 'Re: ',
    wrote: (date, name) => `${date} ${name}:`,
    away: { subject: '自動返信: ', text: '現在不在にしております。{day} 以降にご連絡いたします。' },
    charsets: ['utf-8', 'shift_jis'],
    topics: japanese,
  },
}

export const products: Record<Language, readonly string[]> = {
  en: ['vibration sensors', 'temperature probes', 'flow meters', 'pressure gauges', 'gateways', 'level switches'],
  de: ['Schwingungssensoren', 'Temperaturfühler', 'Durchflussmesser', 'Drucksensoren'],
  fr: ['capteurs de vibration', 'sondes de température', 'débitmètres'],
  es: ['sensores de vibración', 'sondas de temperatura', 'caudalímetros'],
  pl: ['czujników drgań', 'przepływomierzy'],
  ja: ['振動センサー', '温度センサー'],
}

export type Newsletter = {
  readonly name: string
  readonly address: string
  readonly listId: string
  readonly subjects: readonly string[]
  readonly text: string
}

export const newsletters: readonly Newsletter[] = [
  {
    name: 'The Gauge',
    address: 'news@thegauge.example',
    listId: 'weekly.thegauge.example',
    subjects: ['The Gauge: what moved this week', 'The Gauge: {number} numbers from the shop floor'],
    text: 'This week in measuring: a factory in {city} has stopped writing by hand, prices for {product} have fallen, and a reader asks what drift is.',
  },
  {
    name: 'Plant & Process',
    address: 'hello@plantprocess.example',
    listId: 'digest.plantprocess.example',
    subjects: ['Plant & Process digest', 'Five things about {product}'],
    text: 'Our digest for people who keep machines going. In this issue: how one plant in {city} saved a third of its energy, and what {product} had to do with it.',
  },
  {
    name: 'Fairs of Europe',
    address: 'invitations@fairs.example',
    listId: 'invitations.fairs.example',
    subjects: ['Your ticket for {city}', 'Early birds save until {day}'],
    text: 'The fair in {city} opens its doors again. Four hundred exhibitors, two halls for measuring technology. Register until {day} and the ticket is free.',
  },
  {
    name: 'Pennyfold',
    address: 'updates@pennyfold.test',
    listId: 'product.pennyfold.test',
    subjects: ['New in Pennyfold', 'Pennyfold: what we shipped'],
    text: 'New this month: invoices in two languages, a quicker search, and reminders that stop when somebody has paid.',
  },
]

export type Notice = { readonly name: string; readonly address: string; readonly subjects: readonly string[]; readonly text: string }

export const notices: readonly Notice[] = [
  {
    name: 'Pennyfold Billing',
    address: 'no-reply@pennyfold.test',
    subjects: ['Your receipt {reference}', 'Invoice {reference} is ready'],
    text: 'Invoice {reference} over {amount} is ready in your account. This message was sent automatically; answers are not read.',
  },
  {
    name: 'Parcel Pilot',
    address: 'noreply@parcelpilot.example',
    subjects: ['Parcel {reference} is on its way', 'Parcel {reference} was delivered'],
    text: 'Your parcel {reference} to {city} is expected on {day}.',
  },
  {
    name: 'Tasklark',
    address: 'notifications@tasklark.test',
    subjects: ['[tasklark] {reference} was assigned to you', '[tasklark] {reference} is due on {day}'],
    text: 'Task {reference} is due on {day}. You receive this because you follow it.',
  },
  {
    name: 'Sign-in alerts',
    address: 'do-not-reply@accounts.example',
    subjects: ['New sign-in to your account', 'Your password was changed'],
    text: 'There was a new sign-in to your account from {city}. If it was you there is nothing to do.',
  },
]

export const spam: readonly { readonly subject: string; readonly text: string; readonly address: string }[] = [
  {
    subject: 'You have won {amount}!!!',
    text: 'Dear lucky winner, your address was drawn. To claim {amount} send us a small fee.',
    address: 'lottery@prizes.test',
  },
  {
    subject: 'Rank first in {city} within days',
    text: 'We looked at your website and found {number} mistakes. We can fix all of them, cheaply.',
    address: 'growth@seo-miracle.test',
  },
  {
    subject: 'Urgent: confirm your mailbox',
    text: 'Your mailbox is full. Confirm your password at http://mailbox-check.test/{reference} before {day}.',
    address: 'admin@mailbox-check.test',
  },
]
