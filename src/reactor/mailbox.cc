// Why no wake-up of a sleeping reactor is lost:
//
//   poster                               reactor
//   P1 push the node (head_)             R1 is_asleep_ = true
//   P2 read is_asleep_; if true, clear   R2 read head_; if it is not empty, do not sleep
//      it and call Wake                  R3 wait in the kernel
//
// P1, P2, R1 and R2 are sequentially consistent, so they have one total order. If P2 comes before R1 and sees no
// sleeper, P1 comes before R2, and R2 sees the node. If P2 comes after R1 it sees the sleeper (or another poster has
// cleared the flag and will call Wake), and Wake (a write to an eventfd that the ring polls) ends the wait even if it
// happens before R3. Nothing is written while the reactor is busy.
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
    oldest = node.next_;  // before the call, which may delete the node or post it again
    node.OnDelivered();
  }
  return true;
}

}  // namespace ringraft::reactor
