// The progress of a gathered write: which bytes of its pieces the next sendmsg sends.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>

namespace ringraft::reactor {

// `Pieces` is a view of byte ranges: a std::span of string_views, or KJ's array of arrays. The bytes and the list of
// pieces must outlive the cursor.
template <class Pieces>
class IovecCursor {
 public:
  explicit IovecCursor(Pieces pieces) : pieces_(pieces) {}

  // Fills up to `room` vectors, none empty, with the bytes that are left. Returns how many; 0 if nothing is left.
  size_t Fill(iovec* vectors, size_t room) const {
    size_t count = 0;
    for (size_t i = piece_; i < pieces_.size() && count < room; ++i) {
      const size_t skip = i == piece_ ? offset_ : 0;
      if (pieces_[i].size() == skip) continue;
      vectors[count].iov_base = const_cast<void*>(static_cast<const void*>(&*pieces_[i].begin() + skip));
      vectors[count].iov_len = pieces_[i].size() - skip;
      ++count;
    }
    return count;
  }

  // Moves past `bytes` that were sent. Precondition: at least as many are left.
  void Advance(size_t bytes) {
    is_begun_ |= bytes > 0;
    while (bytes > 0) {
      const size_t step = std::min(bytes, pieces_[piece_].size() - offset_);
      bytes -= step;
      offset_ += step;
      if (offset_ == pieces_[piece_].size()) {
        ++piece_;
        offset_ = 0;
      }
    }
  }

  bool is_begun() const { return is_begun_; }

 private:
  Pieces pieces_;
  size_t piece_ = 0;   // the first that is not sent completely
  size_t offset_ = 0;  // how much of it is sent
  bool is_begun_ = false;
};

}  // namespace ringraft::reactor
