import Fastify from 'fastify'
import pg from 'pg'

/*
 * What somebody would write who wants contacts over HTTP and nothing else: Fastify and pg, the rows in tables of their own, an e-mail address unique.
 * The same questions are answered with the same content; there are no keys, events, seals or repeats.
 */
const [databaseUrl = ''] = process.argv.slice(2)
const pool = new pg.Pool({ connectionString: databaseUrl, max: 10 })
const app = Fastify({ logger: true })

const contact = {
  type: 'object',
  required: ['name'],
  additionalProperties: false,
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 500 },
    company: { type: 'string', maxLength: 500 },
    methods: {
      type: 'array',
      maxItems: 100,
      items: {
        type: 'object',
        required: ['type', 'value'],
        additionalProperties: false,
        properties: {
          type: { enum: ['email', 'phone'] },
          value: { type: 'string', maxLength: 2_000 },
          label: { type: 'string', maxLength: 100 },
        },
      },
    },
  },
}
type Method = { type: 'email' | 'phone'; value: string; label?: string }
type Body = { name: string; company?: string; methods?: Method[] }

const insert = `
  with c as (insert into peer.contacts (contact_id, name, company, archived, created_at, updated_at, revision)
    select gen_random_uuid(), $1, $2, false, now(), now(), 0 returning contact_id, created_at),
  m as (insert into peer.contact_methods (contact_id, method_id, added_in, place, type, value, label, normalized)
    select contact_id, gen_random_uuid(), 0, place, type, value, label, normalized
    from c, unnest($3::text[], $4::text[], $5::text[], $6::text[]) with ordinality as m (type, value, label, normalized, place) returning method_id),
  w as (insert into peer.contact_words (contact_id, field, word, whole) select contact_id, field, word, false from c, unnest($7::text[], $8::text[]) w (field, word)
    on conflict do nothing)
  select contact_id as id, created_at, (select array_agg(method_id) from m) as methods from c`

const words = (text: string) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []

app.post<{ Body: Body }>('/v1/contacts', { schema: { body: contact } }, async ({ body }, reply) => {
  const { name, company = null, methods = [] } = body
  const normalized = methods.map(({ type, value }) => (type === 'email' ? value.toLowerCase() : value.replaceAll(' ', '')))
  const found = [
    ...words(name).map((word) => ['name', word]),
    ...words(company ?? '').map((word) => ['company', word]),
    ...methods.flatMap((method, place) => [
      [`${place}`, normalized[place]],
      ...(method.type === 'email' ? words(method.value).map((word) => [`${place}`, word]) : []),
    ]),
  ]
  try {
    const { rows } = await pool.query({
      name: 'insert',
      text: insert,
      values: [
        name,
        company,
        methods.map(({ type }) => type),
        methods.map(({ value }) => value),
        methods.map(({ label }) => label ?? null),
        normalized,
        found.map(([field]) => field),
        found.map(([, word]) => word),
      ],
    })
    const { id, created_at, methods: ids } = rows[0]
    const made = methods.map((method, place) => ({ id: ids[place], ...method, normalized: normalized[place] }))
    return reply
      .code(201)
      .send({ id, name, company, methods: made, archived: false, createdAt: created_at, updatedAt: created_at, revision: 0 })
  } catch (error) {
    if ((error as { code?: string }).code !== '23505') throw error
    return reply.code(409).send({ code: 'address-taken' })
  }
})

const columns = `c.contact_id as id, c.name, c.company, c.archived, c.created_at as "createdAt", c.updated_at as "updatedAt", c.revision,
  (select coalesce(json_agg(json_build_object('id', method_id, 'type', type, 'value', value, 'label', label, 'normalized', normalized) order by added_in, place), '[]')
    from peer.contact_methods m where m.contact_id = c.contact_id) as methods,
  coalesce(s.emails_received, 0)::int as "emailsReceived", coalesce(s.emails_sent, 0)::int as "emailsSent", s.last_email_at as "lastEmailAt"`
const from = 'peer.contacts c left join peer.mail_statistics s using (contact_id)'

app.get<{ Params: { id: string } }>(
  '/v1/contacts/:id',
  { schema: { params: { type: 'object', properties: { id: { type: 'string', format: 'uuid' } } } } },
  async ({ params: { id } }, reply) => {
    const { rows } = await pool.query({ name: 'get', text: `select ${columns} from ${from} where c.contact_id = $1`, values: [id] })
    return rows[0] ?? reply.code(404).send({ code: 'contact-not-found' })
  },
)

const order = 'order by c.created_at desc, c.contact_id desc limit $1'
/** Every word has to be found, whole or in part or with a typo. */
const searched = `
  select ${columns} from (
    select contact_id, max(case when smartcrm.plain(word) like '%' || $2 || '%' then 1 else similarity(word, $2) end) as score
    from peer.contact_words where smartcrm.plain(word) like '%' || $2 || '%' or smartcrm.plain(word) % $2 group by contact_id
  ) f join ${from.replace('peer.contacts c', 'peer.contacts c using (contact_id)')} where not c.archived order by f.score desc, c.contact_id limit $1`

app.get<{ Querystring: { limit: number; cursor?: string; q?: string } }>(
  '/v1/contacts',
  {
    schema: {
      querystring: {
        type: 'object',
        properties: {
          limit: { type: 'integer', minimum: 1, maximum: 200, default: 25 },
          cursor: { type: 'string' },
          q: { type: 'string', maxLength: 200 },
        },
      },
    },
  },
  async ({ query: { limit, cursor, q } }) => {
    if (q !== undefined) {
      const { rows } = await pool.query({ name: 'search', text: searched, values: [limit + 1, q.toLowerCase()] })
      return { data: rows.slice(0, limit), nextCursor: null }
    }
    const [at, id] = cursor === undefined ? [] : JSON.parse(Buffer.from(cursor, 'base64url').toString())
    const { rows } = await pool.query(
      cursor === undefined
        ? { name: 'list', text: `select ${columns} from ${from} where not c.archived ${order}`, values: [limit + 1] }
        : {
            name: 'list-next',
            text: `select ${columns} from ${from} where not c.archived and (c.created_at, c.contact_id) < ($2, $3) ${order}`,
            values: [limit + 1, at, id],
          },
    )
    const last = rows[limit - 1]
    return {
      data: rows.slice(0, limit),
      nextCursor: rows.length > limit ? Buffer.from(JSON.stringify([last.createdAt, last.id])).toString('base64url') : null,
    }
  },
)

process.on('message', async () => process.send!(await app.listen({ host: '127.0.0.1', port: 0 })))
process.send!('ready')
