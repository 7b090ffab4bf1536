// Preloaded into a process, makes LMDB open every environment with MDB_NOSYNC: it flushes nothing. The control of the
// power cuts: such a node loses what it has acknowledged, and the test has to find it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>

typedef int (*OpenFn)(MDB_env*, const char*, unsigned, mdb_mode_t);

int mdb_env_open(MDB_env* env, const char* path, unsigned flags, mdb_mode_t mode) {
  OpenFn next = (OpenFn)dlsym(RTLD_NEXT, "mdb_env_open");
  if (next == NULL) {
    fprintf(stderr, "no_sync: LMDB is not a shared library here\n");
    abort();
  }
  return next(env, path, flags | MDB_NOSYNC, mode);
}
