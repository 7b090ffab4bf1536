// Between the structs of ringraft/admin.h and the messages of schemas/admin.capnp, for both ends: the node and the
// operator's tool. It does no I/O. What it reads may be anything: every Decode checks, and none throws.
#pragma once

// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <admin.capnp.h>

#include <optional>

#include "ringraft/admin.h"

namespace ringraft::rpc {

// Limits of what is read. Those of members are the core's (core/configuration.h), with both halves of a change counted.
constexpr size_t kMaxAdminMembers = 2 * 1024;
constexpr size_t kMaxAdminSteps = 3 * kMaxAdminMembers;  // each member may be named three times
constexpr size_t kMaxAdminAddrBytes = 1024;
constexpr size_t kMaxAdminDataBytes = 4096;
constexpr size_t kMaxAdminTextBytes = 4096;  // of an error; a longer one is cut
constexpr Duration kMaxAdminTimeout = std::chrono::hours(24);

struct AdminHello {
  uint32_t version = 0;
  std::optional<GroupId> group;
};

void Encode(const AdminHello& hello, schema::AdminHello::Builder to);
// kOk: it went well.
void Encode(const Error& outcome, schema::Outcome::Builder to);
void Encode(const AdminStatus& status, schema::Status::Builder to);
void Encode(const ConfigChange& change, schema::ConfigChange::Builder to);

// Errors: kProtocol for pointers that make no sense; kInvalidArgument for what is over a limit, kUnsupported for what
// only a newer version knows. They name it, for the operator to read.
Result<AdminHello> Decode(schema::AdminHello::Reader from);
Result<AdminStatus> Decode(schema::Status::Reader from);
Result<ConfigChange> Decode(schema::ConfigChange::Reader from);
// The error that the node answered with, or that its answer makes no sense.
Result<void> Decode(schema::Outcome::Reader from);
Duration DecodeTimeout(int64_t nanoseconds);

// How much room to reserve.
capnp::MessageSize SizeHint(const Error& outcome);
capnp::MessageSize SizeHint(const AdminStatus& status);
capnp::MessageSize SizeHint(const ConfigChange& change);

}  // namespace ringraft::rpc
