// What a node has told, as a person or a program wants to read it. Texts end with the end of a line.
#pragma once

#include <string>
#include <string_view>

#include "cli/follow.h"

namespace ringraft::cli {

std::string StatusText(const Answered& answered);
std::string StatusJson(const Answered& answered);
// By the leader, or by another node if `answered` is another's: it knows nothing of how far the others are.
std::string MembersText(const Answered& answered);
std::string MembersJson(const Answered& answered);

// Why a cluster with this leader is not well; empty if it is: the leader's disk is well, all members have told this
// leader what they have, and answer, none is more than `max_lag` entries behind, and no change of them is under way.
std::string WhyNotHealthy(const RaftStatus& leader, uint64_t max_lag);

// One line, safe for a terminal: control characters and invalid UTF-8 become \xNN.
std::string Printable(std::string_view text);

}  // namespace ringraft::cli
