/** Whether Postgres answered with that code (PostgreSQL manual, appendix A). */
const says =
  (...codes: readonly string[]) =>
  (error: unknown): boolean =>
    codes.includes(String((error as { code?: unknown } | null)?.code))

/** It ended one of several transactions that waited for each other; that one did nothing, and may be tried again (PostgreSQL manual, §13.3.4). */
export const isDeadlock = says('40P01')
/** Somebody else held the lock for as long as we were ready to wait. */
export const isLockTaken = says('55P03')
/** A key is there already. */
export const isKeyTaken = says('23505')
/** No such table, or not even its schema: at the very first start the API may be up before the projector is. */
export const isTableMissing = says('42P01', '3F000')
