// The sleeping reactor and its posters. Why no wake-up is lost:
//
//   poster                               reactor
//   P1 push the node (head_)             R1 is_asleep_ = true
//   P2 read is_asleep_; if true, take    R2 read head_; if it is not empty, do not sleep
//      it down and call Wake             R3 wait in the kernel
//
// All four are sequentially consistent, so there is one order of them. If P2 comes before R1 and sees no sleeper, P1
// comes before R2 in it, and R2 sees the node. If P2 comes after R1 it sees the sleeper (or that another poster, which
// saw it, has taken the flag down and will call Wake), and what Wake does (a write to an eventfd that the ring polls)
// ends the wait even if it happens before R3. Nothing is written while the reactor is busy.
#include "base/assert.h"
#include "reactor/host.h"

namespace ringraft::reactor {

void Mailbox::Post(MailboxNode& node) {
  MailboxNode* head = head_.load(std::memory_order_relaxed);
  do {
    node.next_ = head;
  } while (!head_.compare_exchange_weak(head, &node, std::memory_order_seq_cst, std::memory_order_relaxed));
  WakeIfAsleep();
}

void Mailbox::WakeIfAsleep() {
  if (!is_asleep_.load(std::memory_order_seq_cst)) return;
  if (is_asleep_.exchange(false, std::memory_order_seq_cst)) Wake();
}

bool Mailbox::BeginSleep() {
  is_asleep_.store(true, std::memory_order_seq_cst);
  if (head_.load(std::memory_order_seq_cst) == nullptr) return true;
  EndSleep();
  return false;
}

void Mailbox::EndSleep() { is_asleep_.store(false, std::memory_order_seq_cst); }

bool Mailbox::Drain() {
  MailboxNode* newest = head_.exchange(nullptr, std::memory_order_acquire);
  if (newest == nullptr) return false;
  MailboxNode* oldest = nullptr;
  while (newest != nullptr) {
    MailboxNode* next = newest->next_;
    newest->next_ = oldest;
    oldest = newest;
    newest = next;
  }
  while (oldest != nullptr) {
    MailboxNode& node = *oldest;
    oldest = node.next_;  // before the call: it may delete the node or post it again
    node.OnDelivered();
  }
  return true;
}

}  // namespace ringraft::reactor
