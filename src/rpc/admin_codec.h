// Conversion between the structs of ringraft/admin.h and the messages of schemas/admin.capnp, for both ends: the node
// and the operator's tool. It does no I/O. Its input may be anything: every Decode checks, and none throws.
#pragma once

// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <admin.capnp.h>

#include <optional>

#include "ringraft/admin.h"

namespace ringraft::rpc {

// Limits of the input. Those of members are the core's (core/configuration.h), counting both halves of a change.
constexpr size_t kMaxAdminMembers = 2 * 1024;
constexpr size_t kMaxAdminSteps = 3 * kMaxAdminMembers;  // each member may be named three times
constexpr size_t kMaxAdminAddrBytes = 1024;
constexpr size_t kMaxAdminDataBytes = 4096;
constexpr size_t kMaxAdminTextBytes = 4096;  // of an error; Encode cuts a longer one
constexpr Duration kMaxAdminTimeout = std::chrono::hours(24);

struct AdminHello {
  uint32_t version = 0;
  std::optional<GroupId> group;
};

void Encode(const AdminHello& hello, schema::AdminHello::Builder to);
// kOk means success.
void Encode(const Error& outcome, schema::Outcome::Builder to);
void Encode(const AdminStatus& status, schema::Status::Builder to);
void Encode(const ConfigChange& change, schema::ConfigChange::Builder to);

// Errors: kProtocol for a malformed message; kInvalidArgument for a value over its limit, kUnsupported for a step that
// only a newer version knows; the text, for the operator, names the value.
Result<AdminHello> Decode(schema::AdminHello::Reader from);
Result<AdminStatus> Decode(schema::Status::Reader from);
Result<ConfigChange> Decode(schema::ConfigChange::Reader from);
// The error with which the node replied, or kProtocol for a malformed reply.
Result<void> Decode(schema::Outcome::Reader from);
Duration DecodeTimeout(int64_t nanoseconds);

// The room to reserve for a message.
capnp::MessageSize SizeHint(const Error& outcome);
capnp::MessageSize SizeHint(const AdminStatus& status);
capnp::MessageSize SizeHint(const ConfigChange& change);

}  // namespace ringraft::rpc
