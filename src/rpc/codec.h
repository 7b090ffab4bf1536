// Conversion between the public structs (ringraft/rpc.h) and the messages of schemas/peer.capnp: the one file that
// knows the fields of both. It does no I/O. Its input comes from a peer and may be anything: every Decode checks, and
// none throws.
#pragma once

// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <peer.capnp.h>

#include <vector>

#include "ringraft/batch.h"
#include "ringraft/rpc.h"

namespace ringraft::rpc {

// The connection to a peer that a call uses.
enum class Lane { kControl, kData, kForward };
constexpr size_t kLanes = 3;
const char* ToString(Lane lane);

struct Hello {
  uint32_t version = 0;
  Identity from;
  NodeId to;
  Lane lane = Lane::kControl;
};

struct Welcome {
  Errc errc = Errc::kOk;
  uint32_t version = 0;
  Identity from;
};

// Batches of at least this size are not copied into the message but referenced, each as a segment of its own. At most
// kMaxReferences in a message, since readers bound the number of segments.
constexpr size_t kReferenceFrom = 4096;
constexpr size_t kMaxReferences = 256;

// The longest timeout of a forwarded call; longer ones are clamped.
constexpr Duration kMaxForwardTimeout = std::chrono::hours(24);

void Encode(const Hello& hello, schema::Hello::Builder to);
void Encode(const Welcome& welcome, schema::Welcome::Builder to);
void Encode(const RequestVoteArgs& args, schema::RequestVoteArgs::Builder to);
void Encode(const ForwardArgs& args, schema::ForwardArgs::Builder to);
void Encode(const BootstrapArgs& args, schema::BootstrapArgs::Builder to);
// Appends to `referenced` the batches that the message points into: they must live until the message is sent or
// destroyed.
void Encode(const AppendEntriesArgs& args, schema::AppendEntriesArgs::Builder to, std::vector<BatchRef>& referenced);

// An error travels as its code (and, in replies to Forward, with the leader for kNotLeader).
void Encode(const Result<AppendEntriesResults>& result, schema::AppendEntriesResults::Builder to);
void Encode(const Result<RequestVoteResults>& result, schema::RequestVoteResults::Builder to);
void Encode(const Result<ForwardResults>& result, schema::ForwardResults::Builder to);
void Encode(const Result<BootstrapResults>& result, schema::BootstrapResults::Builder to);

// Errors: kProtocol for a malformed message, kCorrupt for a batch that fails its checks.
Result<Hello> Decode(schema::Hello::Reader from);
Result<Welcome> Decode(schema::Welcome::Reader from);
Result<AppendEntriesArgs> Decode(schema::AppendEntriesArgs::Reader from);
Result<RequestVoteArgs> Decode(schema::RequestVoteArgs::Reader from);
Result<ForwardArgs> Decode(schema::ForwardArgs::Reader from);
Result<BootstrapArgs> Decode(schema::BootstrapArgs::Reader from);

// The result of the peer's service; kProtocol also if the message is malformed.
Result<AppendEntriesResults> Decode(schema::AppendEntriesResults::Reader from);
Result<RequestVoteResults> Decode(schema::RequestVoteResults::Reader from);
Result<ForwardResults> Decode(schema::ForwardResults::Reader from);
Result<BootstrapResults> Decode(schema::BootstrapResults::Reader from);

// The room to reserve for a message, so that everything but referenced batches lies in its first segment.
capnp::MessageSize SizeHint(const AppendEntriesArgs& args);
capnp::MessageSize SizeHint(const RequestVoteArgs& args);
capnp::MessageSize SizeHint(const ForwardArgs& args);
capnp::MessageSize SizeHint(const BootstrapArgs& args);
capnp::MessageSize SizeHint(const Result<ForwardResults>& result);
capnp::MessageSize SizeHint(const Result<BootstrapResults>& result);

// An upper estimate of the message's length, with referenced batches.
size_t MessageBytes(const AppendEntriesArgs& args);
size_t MessageBytes(const RequestVoteArgs& args);
size_t MessageBytes(const ForwardArgs& args);
size_t MessageBytes(const BootstrapArgs& args);

}  // namespace ringraft::rpc
