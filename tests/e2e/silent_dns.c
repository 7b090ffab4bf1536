// Preloaded into a process, plays a DNS server that is silent: names that end in ".silent.example" are never resolved. All
// other look-ups are the system's, and so are those of numeric addresses.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

typedef int (*ResolveFn)(const char*, const char*, const struct addrinfo*, struct addrinfo**);

int getaddrinfo(const char* host, const char* service, const struct addrinfo* hints, struct addrinfo** list) {
  static const char kSilent[] = ".silent.example";
  const size_t length = host == NULL ? 0 : strlen(host);
  const int is_numeric = hints != NULL && (hints->ai_flags & AI_NUMERICHOST) != 0;
  if (!is_numeric && length >= sizeof kSilent - 1 && strcmp(host + length - (sizeof kSilent - 1), kSilent) == 0)
    for (;;) pause();
  return ((ResolveFn)dlsym(RTLD_NEXT, "getaddrinfo"))(host, service, hints, list);
}
