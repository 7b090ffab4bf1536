// The incoming calls of one connection that have not been finished. Owned by its message stream.
//
//   a call --> unfinished --(Finish)---------------------------------> forgotten
//                  \--(a Return that needs no Finish)--> answered --(a late Finish, or a call of that number)--^
//
// A peer with Cap'n Proto before 1.0 does not know Return.noFinishNeeded and sends the Finish nevertheless, and a
// Finish that cancels a call may have crossed such a Return on the wire. rpc.capnp asks to ignore both. Counting alone
// would not do: a Finish that comes first and the Return that follows it would count twice.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace ringraft::rpc {

class UnfinishedCalls {
 public:
  // The answered calls that are remembered: four times as many as a peer may have unfinished by default. Peers of Cap'n
  // Proto 1.0 and later reuse the numbers, and need far fewer.
  static constexpr size_t kMaxAnswered = 4096;

  size_t size() const { return unfinished_.size(); }

  // A number that is in use is left to the RPC system, which ends the connection.
  void Begin(uint32_t question) {
    if (auto late = std::find(answered_.begin(), answered_.end(), question); late != answered_.end())
      answered_.erase(late);
    if (std::find(unfinished_.begin(), unfinished_.end(), question) == unfinished_.end())
      unfinished_.push_back(question);
  }
  // Returns false if no such call was sent.
  bool Finish(uint32_t question) {
    if (Remove(question)) return true;
    auto late = std::find(answered_.begin(), answered_.end(), question);
    if (late == answered_.end()) return false;
    answered_.erase(late);
    return true;
  }
  // The reply says that no Finish is needed.
  void OnFinalReply(uint32_t question) {
    if (!Remove(question)) return;
    if (answered_.size() == kMaxAnswered) answered_.pop_front();
    answered_.push_back(question);
  }

 private:
  bool Remove(uint32_t question) {
    auto found = std::find(unfinished_.begin(), unfinished_.end(), question);
    if (found == unfinished_.end()) return false;
    *found = unfinished_.back();
    unfinished_.pop_back();
    return true;
  }

  std::vector<uint32_t> unfinished_;  // in no order
  std::deque<uint32_t> answered_;     // the oldest first
};

}  // namespace ringraft::rpc
