/* Preloaded into a node under test: fails every Nth write or sync of the event log's files, as a broken or full disk does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* The plan is a file, so that the test can change it while the node runs: "<every> <errno> [sync]", or nothing. */
static int fails(int descriptor, int is_sync) {
  static int calls;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  const char *name = strrchr(path, '/');
  if (!name || strncmp(name, "/log.db", 7) != 0) return 0;
  if (strcmp(name, "/log.db") != 0 && strcmp(name, "/log.db-wal") != 0) return 0;
  FILE *plan = fopen(getenv("FAULT_PLAN"), "r");
  if (!plan) return 0;
  int every = 0, error = 0;
  char only[8] = "";
  int read = fscanf(plan, "%d %d %7s", &every, &error, only);
  fclose(plan);
  if (read < 2 || (strcmp(only, "sync") == 0 && !is_sync)) return 0;
  if (every <= 0 || ++calls % every != 0) return 0;
  errno = error;
  return 1;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = dlsym(RTLD_NEXT, #name)

ssize_t pwrite64(int descriptor, const void *bytes, size_t size, off64_t offset) {
  REAL(pwrite64);
  return fails(descriptor, 0) ? -1 : real(descriptor, bytes, size, offset);
}
ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset) {
  REAL(pwrite);
  return fails(descriptor, 0) ? -1 : real(descriptor, bytes, size, offset);
}
ssize_t write(int descriptor, const void *bytes, size_t size) {
  REAL(write);
  return fails(descriptor, 0) ? -1 : real(descriptor, bytes, size);
}
int fsync(int descriptor) {
  REAL(fsync);
  return fails(descriptor, 1) ? -1 : real(descriptor);
}
int fdatasync(int descriptor) {
  REAL(fdatasync);
  return fails(descriptor, 1) ? -1 : real(descriptor);
}
int ftruncate64(int descriptor, off64_t size) {
  REAL(ftruncate64);
  return fails(descriptor, 0) ? -1 : real(descriptor, size);
}
