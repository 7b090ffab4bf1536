// A scenario file: what is read can be written, and read again.
#include <string>
#include <string_view>

#include "base/assert.h"
#include "fuzz.h"
#include "scenario.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ringraft::scenario;
  auto scenario = ParseScenario(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!scenario) {
    RINGRAFT_ASSERT(!scenario.error().message().empty());
    return 0;
  }
  const std::string text = WriteScenario(scenario.value());
  auto again = ParseScenario(text);
  RINGRAFT_ASSERT(again.has_value());
  RINGRAFT_ASSERT(WriteScenario(again.value()) == text);
  return 0;
}
