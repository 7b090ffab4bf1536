#include "checker/text_format.h"

#include <fmt/format.h>

namespace ringraft::checker {

std::string Milliseconds(int64_t nanoseconds) {
  const char* sign = nanoseconds < 0 ? "-" : "";
  const uint64_t size = nanoseconds < 0 ? uint64_t{0} - static_cast<uint64_t>(nanoseconds)
                                        : static_cast<uint64_t>(nanoseconds);
  if (size % 1000 != 0) return fmt::format("{}{}.{:06} ms", sign, size / 1'000'000, size % 1'000'000);
  return fmt::format("{}{}.{:03} ms", sign, size / 1'000'000, size % 1'000'000 / 1000);
}

std::string Printable(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    if (c >= ' ' && c <= '~' && c != '\\') {
      text.push_back(c);
    } else {
      text += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    }
  }
  return text;
}

}  // namespace ringraft::checker
