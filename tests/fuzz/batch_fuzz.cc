// A stored batch, from a damaged disk or from a peer. Accepted bytes must be a batch in every respect.
#include <cstring>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "fuzz.h"
#include "ringraft/batch.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace {

using namespace ringraft;

void Check(std::string_view bytes) {
  Result<BatchRef> batch = BatchRef::Decode(bytes);
  if (!batch) {
    RINGRAFT_ASSERT(batch.error().code() == Errc::kCorrupt);
    return;
  }
  RINGRAFT_ASSERT(batch.value().bytes() == bytes);
  uint64_t count = 0;
  for (LogEntry entry : batch.value()) {
    RINGRAFT_ASSERT(entry.index == batch.value().first() + count);
    ++count;
  }
  RINGRAFT_ASSERT(count == (batch.value().has_commands() ? batch.value().header().count : 0));
}

// With the right checksum: a peer may send anything with a valid one.
std::string WithChecksum(std::string bytes) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, bytes.data(), BatchHeader::kSize - 8);
  XXH3_64bits_update(&state, bytes.data() + BatchHeader::kSize, bytes.size() - BatchHeader::kSize);
  const uint64_t checksum = XXH3_64bits_digest(&state);
  std::memcpy(bytes.data() + BatchHeader::kSize - 8, &checksum, sizeof checksum);
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Check(bytes);
  if (size >= BatchHeader::kSize) Check(WithChecksum(std::string(bytes)));
  return 0;
}
