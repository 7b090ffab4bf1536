// An intrusive doubly linked list. Members unlink themselves in their destructors. One thread at a time.
#pragma once

#include <cstddef>

namespace ringraft::base {

class ListHook {
 public:
  ListHook() = default;
  ListHook(const ListHook&) = delete;
  ListHook& operator=(const ListHook&) = delete;
  ~ListHook() { Unlink(); }

  bool is_linked() const { return next_ != nullptr; }
  void Unlink() {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    next_ = prev_ = nullptr;
  }

 private:
  template <class T>
  friend class List;
  ListHook* next_ = nullptr;
  ListHook* prev_ = nullptr;
};

// T derives from ListHook. The list does not own its members; its destructor unlinks them.
template <class T>
class List {
 public:
  List() { head_.next_ = head_.prev_ = &head_; }
  ~List() {
    while (!empty()) head_.next_->Unlink();
    head_.next_ = nullptr;
  }
  List(const List&) = delete;

  bool empty() const { return head_.next_ == &head_; }
  T* front() { return empty() ? nullptr : static_cast<T*>(head_.next_); }
  T* PopFront() {
    T* first = front();
    if (first != nullptr) first->Unlink();
    return first;
  }
  void PushBack(T& member) {
    ListHook& hook = member;
    hook.Unlink();
    hook.prev_ = head_.prev_;
    hook.next_ = &head_;
    head_.prev_->next_ = &hook;
    head_.prev_ = &hook;
  }
  // Moves all members of `other` to the end of this list.
  void TakeAll(List& other) {
    while (T* member = other.PopFront()) PushBack(*member);
  }
  size_t CountSlowly() const {
    size_t count = 0;
    for (const ListHook* hook = head_.next_; hook != &head_; hook = hook->next_) ++count;
    return count;
  }
  // The member after `member`, or null at the end.
  T* Next(T& member) {
    ListHook* next = static_cast<ListHook&>(member).next_;
    return next == &head_ ? nullptr : static_cast<T*>(next);
  }

 private:
  mutable ListHook head_;
};

}  // namespace ringraft::base
