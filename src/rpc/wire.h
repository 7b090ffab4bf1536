// The common part of the codecs for peers (codec.cc) and for operators (admin_codec.cc): bytes and texts, error codes,
// and the guard around readers. It does no I/O.
#pragma once

// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <capnp/blob.h>
#include <capnp/common.h>
#include <kj/exception.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "ringraft/errc.h"
#include "ringraft/types.h"

namespace ringraft::rpc {

// Error codes are part of the protocol: new ones are added at the end.
constexpr uint16_t kLastErrc = 32;
static_assert(static_cast<uint16_t>(Errc::kNoQuorum) == kLastErrc && static_cast<uint16_t>(Errc::kUnknown) == 5 &&
              static_cast<uint16_t>(Errc::kWrongVersion) == 20);

// Room for what surrounds the arguments or results in a message, with some to spare.
constexpr uint64_t kEnvelopeWords = 64;

inline uint64_t DataWords(size_t bytes) { return (bytes + sizeof(capnp::word) - 1) / sizeof(capnp::word); }
inline uint64_t TextWords(std::string_view text) { return DataWords(text.size() + 1); }  // a zero byte follows

inline capnp::Data::Reader ToData(std::string_view bytes) {
  return capnp::Data::Reader(reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size());
}
inline capnp::Text::Reader ToText(const std::string& text) { return capnp::Text::Reader(text.c_str(), text.size()); }
inline std::string_view ToView(capnp::Data::Reader data) {
  return std::string_view(reinterpret_cast<const char*>(data.begin()), data.size());
}
inline std::string_view ToView(capnp::Text::Reader text) { return std::string_view(text.begin(), text.size()); }

// Readers throw on pointers out of bounds and on messages over their traversal or nesting limit. Guard runs `decode`
// and turns such an exception into kProtocol with the text `malformed`.
template <class T, class Function>
Result<T> Guard(const char* malformed, Function&& decode) {
  try {
    return decode();
  } catch (const kj::Exception&) {
    return Error(Errc::kProtocol, malformed);
  }
}

// The code and, with kNotLeader, the leader if it is known.
template <class Builder>
void EncodeErrorWithLeader(const Error& error, Builder to) {
  to.setErrc(static_cast<uint16_t>(error.code()));
  const std::optional<Peer> leader = error.leader();
  if (!leader) return;
  to.setLeaderId(leader->id.value());
  to.setLeaderAddr(ToText(leader->addr.text()));
}

// A timeout from the other end, clamped: one added to a point in time must not overflow.
inline Duration DecodeTimeout(int64_t nanoseconds, Duration max) {
  return std::clamp(std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(nanoseconds)), Duration::zero(), max);
}

}  // namespace ringraft::rpc
