// The replicated state: keys and values, and what every data command does to them. Its result for a command is the
// reply in the Redis protocol. Deterministic: the same commands give the same state and the same bytes on every node
// and every machine, so nothing here may look at a clock, at an option of the node, or at who asked. Reactor thread
// only.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "kv/commands.h"
#include "kv/resp.h"
#include "ringraft/state_machine.h"

namespace ringraft::kv {

// Part of the replicated behavior: changing one changes what a log means.
constexpr size_t kMaxValueBytes = size_t{1} << 20;
constexpr size_t kMaxReplyBytes = size_t{16} << 20;  // of one command: KEYS and MGET are refused above it

class KeyValueStore final : public StateMachine {
 public:
  // Stops early, to be called again, when the results have become large.
  Result<size_t> Apply(std::span<const LogEntry> entries, ApplyResults& results) override;

  // One command; appends its reply. `args` has at least the name.
  void Execute(Protocol protocol, std::span<const std::string_view> args, std::string& reply);

  size_t key_count() const { return keys_.size(); }
  // The largest value that there has been, as a bound of what one GET can bring.
  size_t largest_value() const { return largest_value_; }

 private:
  using Args = std::span<const std::string_view>;

  // Ordered by hash first: look-ups compare numbers, and a SCAN's cursor is a hash.
  struct KeyView {
    uint64_t hash;
    std::string_view key;
  };
  struct Key {
    uint64_t hash;
    std::string key;
  };
  struct KeyLess {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      if (a.hash != b.hash) return a.hash < b.hash;
      return std::string_view(a.key) < std::string_view(b.key);
    }
  };
  using Keys = std::map<Key, std::string, KeyLess>;

  static KeyView View(std::string_view key);
  const std::string* Find(std::string_view key) const;
  void Put(std::string_view key, std::string_view value);
  bool Remove(std::string_view key);

  void Set(Args args, ReplyWriter& reply);
  void SetNx(Args args, ReplyWriter& reply);
  void Get(Args args, ReplyWriter& reply);
  void GetDel(Args args, ReplyWriter& reply);
  void Append(Args args, ReplyWriter& reply);
  void Add(std::string_view key, int64_t increment, ReplyWriter& reply);
  void IncrBy(Args args, ReplyWriter& reply);
  void DecrBy(Args args, ReplyWriter& reply);
  void MGet(Args args, ReplyWriter& reply);
  void MSet(Args args, ReplyWriter& reply);
  void KeysMatching(Args args, ReplyWriter& reply);
  void Scan(Args args, ReplyWriter& reply);
  void FlushAll(Args args, ReplyWriter& reply);

  Keys keys_;
  size_t largest_value_ = 0;
  DecodedCommand command_;  // reused
  std::string reply_;       // reused
};

}  // namespace ringraft::kv
