// When a majority is lost for ever: a stopped node becomes the only member, by its own log, in a new generation of the
// cluster. What it gives up is consensus with those that are gone: what they had committed and it has not is lost, and
// what it has and was never committed is kept. Never by itself: an operator decides.
#pragma once

#include <cstdint>
#include <string>

#include "core/configuration.h"
#include "ringraft/rpc.h"
#include "ringraft/storage.h"
#include "ringraft/types.h"

namespace ringraft::node {

struct RecoveryFacts {
  Identity identity;  // with the generation that it is of
  Index last_index;
  Term last_term;
  HardState hard_state;
  int64_t last_append_ns = 0;   // when its leader appended the last batch, in ns since 1970; 0: not known
  core::Configuration members;  // the newest of its log
  Index members_index;
};

// What a storage that no node uses has. Errors: kInvalidArgument (no log, a witness, alone already), kDuplicateNode (it
// was refused as a copy), kCorrupt, kIo.
Result<RecoveryFacts> LookAtLog(Storage& storage);

// Makes it the only member, a voter, in the next generation, which no other recovery has, by an entry behind the end of
// its log; durably. May be repeated where it was cut short. Errors as above.
Result<RecoveryFacts> Recover(Storage& storage, GroupId group, int64_t now_ns);

}  // namespace ringraft::node
