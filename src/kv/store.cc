#include "kv/store.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <vector>

#include "kv/glob.h"

namespace ringraft::kv {
namespace {

constexpr size_t kMaxApplyResultBytes = size_t{8} << 20;
constexpr size_t kMaxScanReplyBytes = size_t{1} << 20;
constexpr const char* kSyntaxError = "ERR syntax error";
constexpr const char* kNotAnInteger = "ERR value is not an integer or out of range";

std::string ReplyTooLarge(std::string_view remedy) {
  return fmt::format("ERR the reply would be over the limit of {} bytes: {}", kMaxReplyBytes, remedy);
}

struct SetOptions {
  bool only_new = false;
  bool only_existing = false;
  bool wants_old = false;
  std::optional<std::string_view> only_if_equal;
};

// The options of SET after key and value; an error's text otherwise.
std::optional<std::string> ParseSetOptions(std::span<const std::string_view> args, SetOptions& options) {
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string_view option = args[i];
    if (EqualsIgnoringCase(option, "nx")) {
      options.only_new = true;
    } else if (EqualsIgnoringCase(option, "xx")) {
      options.only_existing = true;
    } else if (EqualsIgnoringCase(option, "get")) {
      options.wants_old = true;
    } else if (EqualsIgnoringCase(option, "ifeq") && i + 1 < args.size() && !options.only_if_equal) {
      options.only_if_equal = args[++i];
    } else {
      for (const std::string_view expiry : {"ex", "px", "exat", "pxat", "keepttl"}) {
        if (!EqualsIgnoringCase(option, expiry)) continue;
        return fmt::format("ERR SET option '{}' is not supported: keys have no expiry here, delete them with DEL",
                           expiry);
      }
      return kSyntaxError;
    }
  }
  const int conditions = options.only_new + options.only_existing + options.only_if_equal.has_value();
  if (conditions > 1) return kSyntaxError;
  return std::nullopt;
}

}  // namespace

Result<size_t> KeyValueStore::Apply(std::span<const LogEntry> entries, ApplyResults& results) {
  size_t result_bytes = 0;
  size_t applied = 0;
  for (const LogEntry& entry : entries) {
    if (result_bytes > kMaxApplyResultBytes) break;
    reply_.clear();
    if (DecodeCommand(entry.command, command_)) {
      Execute(command_.protocol, command_.args, reply_);
    } else {
      ReplyWriter(reply_, Protocol::kResp2).Error("ERR the log entry is not a command of ringraft-kv");
    }
    results.Add(reply_);
    result_bytes += reply_.size();
    ++applied;
  }
  if (reply_.capacity() > (size_t{1} << 20)) std::string().swap(reply_);
  return applied;
}

void KeyValueStore::Execute(Protocol protocol, Args args, std::string& out) {
  ReplyWriter reply(out, protocol);
  const CommandSpec* spec = FindCommand(args[0]);
  if (spec == nullptr || spec->kind == CommandKind::kLocal) return reply.Error(UnknownCommandText(args));
  if (!HasArity(spec->arity, args.size())) return reply.Error(WrongArityText(spec->name));
  switch (spec->id) {
    case CommandId::kAppend: return Append(args, reply);
    case CommandId::kDbSize: return reply.Integer(static_cast<int64_t>(keys_.size()));
    case CommandId::kDecr: return Add(args[1], -1, reply);
    case CommandId::kDecrBy: return DecrBy(args, reply);
    case CommandId::kDel:
      return reply.Integer(std::count_if(args.begin() + 1, args.end(), [this](auto key) { return Remove(key); }));
    case CommandId::kExists:
      return reply.Integer(
          std::count_if(args.begin() + 1, args.end(), [this](auto key) { return Find(key) != nullptr; }));
    case CommandId::kFlushAll: return FlushAll(args, reply);
    case CommandId::kGet: return Get(args, reply);
    case CommandId::kGetDel: return GetDel(args, reply);
    case CommandId::kIncr: return Add(args[1], 1, reply);
    case CommandId::kIncrBy: return IncrBy(args, reply);
    case CommandId::kKeys: return KeysMatching(args, reply);
    case CommandId::kMGet: return MGet(args, reply);
    case CommandId::kMSet: return MSet(args, reply);
    case CommandId::kScan: return Scan(args, reply);
    case CommandId::kSet: return Set(args, reply);
    case CommandId::kSetNx: return SetNx(args, reply);
    case CommandId::kStrLen: {
      const std::string* value = Find(args[1]);
      return reply.Integer(value == nullptr ? 0 : static_cast<int64_t>(value->size()));
    }
    default: return reply.Error(UnknownCommandText(args));
  }
}

KeyValueStore::KeyView KeyValueStore::View(std::string_view key) {
  return KeyView{XXH3_64bits(key.data(), key.size()), key};
}

const std::string* KeyValueStore::Find(std::string_view key) const {
  const auto found = keys_.find(View(key));
  return found == keys_.end() ? nullptr : &found->second;
}

void KeyValueStore::Put(std::string_view key, std::string_view value) {
  const KeyView view = View(key);
  const auto place = keys_.lower_bound(view);
  largest_value_ = std::max(largest_value_, value.size());
  if (place != keys_.end() && !KeyLess()(view, place->first)) {
    place->second.assign(value);
  } else {
    keys_.emplace_hint(place, Key{view.hash, std::string(key)}, value);
  }
}

bool KeyValueStore::Remove(std::string_view key) {
  const auto found = keys_.find(View(key));
  if (found == keys_.end()) return false;
  keys_.erase(found);
  return true;
}

// SET key value [NX | XX | IFEQ old] [GET]
void KeyValueStore::Set(Args args, ReplyWriter& reply) {
  SetOptions options;
  if (const auto error = ParseSetOptions(args.subspan(3), options)) return reply.Error(*error);
  const std::string* old = Find(args[1]);
  const bool is_allowed = (!options.only_new || old == nullptr) && (!options.only_existing || old != nullptr) &&
                          (!options.only_if_equal || (old != nullptr && *old == *options.only_if_equal));
  // The old value first: putting the new one overwrites it.
  if (options.wants_old) {
    old == nullptr ? reply.Null() : reply.Bulk(*old);
  } else {
    is_allowed ? reply.Ok() : reply.Null();
  }
  if (is_allowed) Put(args[1], args[2]);
}

void KeyValueStore::SetNx(Args args, ReplyWriter& reply) {
  const bool is_new = Find(args[1]) == nullptr;
  if (is_new) Put(args[1], args[2]);
  reply.Integer(is_new ? 1 : 0);
}

void KeyValueStore::Get(Args args, ReplyWriter& reply) {
  const std::string* value = Find(args[1]);
  value == nullptr ? reply.Null() : reply.Bulk(*value);
}

void KeyValueStore::GetDel(Args args, ReplyWriter& reply) {
  Get(args, reply);
  Remove(args[1]);
}

void KeyValueStore::Append(Args args, ReplyWriter& reply) {
  const auto found = keys_.find(View(args[1]));
  const size_t old_size = found == keys_.end() ? 0 : found->second.size();
  const size_t size = old_size + args[2].size();
  if (size > kMaxValueBytes) {
    return reply.Error(
        fmt::format("ERR string exceeds maximum allowed size ({} bytes, the limit is {})", size, kMaxValueBytes));
  }
  if (found == keys_.end()) {
    Put(args[1], args[2]);
  } else {
    found->second.append(args[2]);
    largest_value_ = std::max(largest_value_, size);
  }
  reply.Integer(static_cast<int64_t>(size));
}

void KeyValueStore::Add(std::string_view key, int64_t increment, ReplyWriter& reply) {
  const std::string* old = Find(key);
  const std::optional<int64_t> value = old == nullptr ? 0 : ParseInteger(*old);
  if (!value) return reply.Error(kNotAnInteger);
  int64_t sum = 0;
  if (__builtin_add_overflow(*value, increment, &sum)) return reply.Error("ERR increment or decrement would overflow");
  Put(key, fmt::format_int(sum).c_str());
  reply.Integer(sum);
}

void KeyValueStore::IncrBy(Args args, ReplyWriter& reply) {
  const auto increment = ParseInteger(args[2]);
  if (!increment) return reply.Error(kNotAnInteger);
  Add(args[1], *increment, reply);
}

void KeyValueStore::DecrBy(Args args, ReplyWriter& reply) {
  const auto decrement = ParseInteger(args[2]);
  if (!decrement) return reply.Error(kNotAnInteger);
  if (*decrement == std::numeric_limits<int64_t>::min()) return reply.Error("ERR decrement would overflow");
  Add(args[1], -*decrement, reply);
}

void KeyValueStore::MGet(Args args, ReplyWriter& reply) {
  size_t bytes = 0;
  for (const std::string_view key : args.subspan(1)) {
    const std::string* value = Find(key);
    bytes += 16 + (value == nullptr ? 0 : value->size());
    if (bytes > kMaxReplyBytes) return reply.Error(ReplyTooLarge("ask for fewer keys"));
  }
  reply.Array(args.size() - 1);
  for (const std::string_view key : args.subspan(1)) {
    const std::string* value = Find(key);
    value == nullptr ? reply.Null() : reply.Bulk(*value);
  }
}

void KeyValueStore::MSet(Args args, ReplyWriter& reply) {
  if (args.size() % 2 == 0) return reply.Error(WrongArityText("mset"));
  for (size_t i = 1; i < args.size(); i += 2) Put(args[i], args[i + 1]);
  reply.Ok();
}

void KeyValueStore::KeysMatching(Args args, ReplyWriter& reply) {
  std::vector<std::string_view> matching;
  size_t bytes = 0;
  for (const auto& [key, value] : keys_) {
    if (!GlobMatches(args[1], key.key)) continue;
    bytes += 16 + key.key.size();
    if (bytes > kMaxReplyBytes) return reply.Error(ReplyTooLarge("walk through them with SCAN"));
    matching.push_back(key.key);
  }
  reply.Array(matching.size());
  for (const std::string_view key : matching) reply.Bulk(key);
}

// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
//
// A cursor is the hash at which to go on, and all keys of one hash are told together. So a key that is there from the
// beginning of a scan to its end is told exactly once, whatever else comes and goes, and any node can go on with it.
void KeyValueStore::Scan(Args args, ReplyWriter& reply) {
  uint64_t cursor = 0;
  const char* const cursor_end = args[1].data() + args[1].size();
  const auto [end, error] = std::from_chars(args[1].data(), cursor_end, cursor);
  if (error != std::errc() || end != cursor_end) return reply.Error("ERR invalid cursor");
  std::string_view pattern = "*";
  uint64_t count = 10;
  bool is_type_string = true;
  for (size_t i = 2; i < args.size(); i += 2) {
    if (i + 1 == args.size()) return reply.Error(kSyntaxError);
    if (EqualsIgnoringCase(args[i], "match")) {
      pattern = args[i + 1];
    } else if (EqualsIgnoringCase(args[i], "count")) {
      const auto number = ParseInteger(args[i + 1]);
      if (!number) return reply.Error(kNotAnInteger);
      if (*number < 1) return reply.Error(kSyntaxError);
      count = static_cast<uint64_t>(*number);
    } else if (EqualsIgnoringCase(args[i], "type")) {
      is_type_string = EqualsIgnoringCase(args[i + 1], "string");
    } else {
      return reply.Error(kSyntaxError);
    }
  }
  std::vector<std::string_view> told;
  uint64_t visited = 0;
  size_t bytes = 0;
  auto place = keys_.lower_bound(KeyView{cursor, std::string_view()});
  uint64_t last_hash = 0;
  for (; place != keys_.end(); ++place) {
    const Key& key = place->first;
    const bool is_enough = visited >= count || bytes > kMaxScanReplyBytes;
    if (is_enough && key.hash != last_hash) break;
    last_hash = key.hash;
    ++visited;
    if (!is_type_string || !GlobMatches(pattern, key.key)) continue;
    bytes += 16 + key.key.size();
    told.push_back(key.key);
  }
  reply.Array(2);
  reply.Bulk(place == keys_.end() ? "0" : fmt::format_int(place->first.hash).c_str());
  reply.Array(told.size());
  for (const std::string_view key : told) reply.Bulk(key);
}

void KeyValueStore::FlushAll(Args args, ReplyWriter& reply) {
  const bool is_plain = args.size() == 1;
  if (!is_plain &&
      !(args.size() == 2 && (EqualsIgnoringCase(args[1], "async") || EqualsIgnoringCase(args[1], "sync")))) {
    return reply.Error(kSyntaxError);
  }
  keys_.clear();
  reply.Ok();
}

}  // namespace ringraft::kv
