-- Up Migration

-- Texts in any mixture of languages as words: no stemming, without regard to case and accents. Unlike smartcrm.plain it leaves the text itself as it
-- is, so that what was found can be shown in it.
create text search configuration smartcrm.words (copy = pg_catalog.simple);
alter text search configuration smartcrm.words
  alter mapping for word, numword, hword, hword_part, numhword, hword_numpart, email, host, url, url_path, file with public.unaccent, simple;
