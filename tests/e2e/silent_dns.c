// Preloaded into a process, plays a DNS server that is silent: names that end in ".silent.example" are never resolved, and
// those that end in ".slow.example" are 127.0.0.1 after a second, as if the first of two servers were. All other look-ups
// are the system's, and so are those of numeric addresses.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

typedef int (*ResolveFn)(const char*, const char*, const struct addrinfo*, struct addrinfo**);

static int EndsIn(const char* host, const char* end) {
  const size_t length = host == NULL ? 0 : strlen(host);
  return length >= strlen(end) && strcmp(host + length - strlen(end), end) == 0;
}

int getaddrinfo(const char* host, const char* service, const struct addrinfo* hints, struct addrinfo** list) {
  const int is_numeric = hints != NULL && (hints->ai_flags & AI_NUMERICHOST) != 0;
  while (!is_numeric && EndsIn(host, ".silent.example")) pause();
  if (!is_numeric && EndsIn(host, ".slow.example")) {
    sleep(1);
    host = "127.0.0.1";
  }
  return ((ResolveFn)dlsym(RTLD_NEXT, "getaddrinfo"))(host, service, hints, list);
}
