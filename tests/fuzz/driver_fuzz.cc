// A target without any protection, for the test of the driver itself: it does what the input says.
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static std::vector<char*> kept;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.starts_with("hang"))
    for (volatile bool is_over = false; !is_over;) {
    }
  if (text.starts_with("crash")) std::abort();
  if (text.starts_with("reserve")) kept.push_back(new char[size_t{2} << 30]);
  if (text.starts_with("take")) {
    kept.push_back(new char[size_t{300} << 20]);
    std::memset(kept.back(), 1, size_t{300} << 20);
  }
  return 0;
}
