// Recovery from the loss of a majority: a stopped node becomes the only member, by its own log, in a new generation of
// the cluster. The cost is consensus with the lost members: what they had committed and this log does not have is lost,
// and what this log has is kept, committed or not. Only an operator starts it.
#pragma once

#include <cstdint>
#include <string>

#include "core/configuration.h"
#include "ringraft/rpc.h"
#include "ringraft/storage.h"
#include "ringraft/types.h"

namespace ringraft::node {

struct RecoveryFacts {
  Identity identity;  // with its generation
  Index last_index;
  Term last_term;
  HardState hard_state;
  int64_t last_append_ns = 0;   // of the last batch, by its leader's clock, in ns since 1970; 0: not known
  core::Configuration members;  // the newest in its log
  Index members_index;
};

// Examines a storage that no node uses. Errors: kInvalidArgument (no log, a witness, the only member already),
// kDuplicateNode (it was refused as a copy), kCorrupt, kIo.
Result<RecoveryFacts> LookAtLog(Storage& storage);

// Durably makes it the only member, a voter, by an entry at the end of its log, in a new generation that no other
// recovery has. May be repeated after it was interrupted. Errors as above.
Result<RecoveryFacts> Recover(Storage& storage, GroupId group, int64_t now_ns);

}  // namespace ringraft::node
