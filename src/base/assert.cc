#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace ringraft::base {

void AssertFailed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "ringraft: broken invariant: %s (%s:%d); aborting this process, please report it\n", condition,
               file, line);
  std::abort();
}

}  // namespace ringraft::base
