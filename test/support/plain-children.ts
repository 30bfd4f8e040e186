/*
 * Imported before a test file, by .taprc. tap has every process that a test starts load its own hooks, by the environment. They say nothing of processes that are no
 * tests, and take a third of what one of ours takes to start.
 */
delete process.env['NODE_OPTIONS']
