// Replies in the Redis protocol, RESP2 and RESP3. Appends to a string that the caller owns; knows no commands.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ringraft::kv {

// The numbers are part of the encoded Raft command.
enum class Protocol : uint8_t { kResp2 = 2, kResp3 = 3 };

class ReplyWriter {
 public:
  ReplyWriter(std::string& out, Protocol protocol) : out_(out), protocol_(protocol) {}

  Protocol protocol() const { return protocol_; }

  void Ok() { out_.append("+OK\r\n"); }
  void Simple(std::string_view text);
  // `text` begins with the error's code: "ERR syntax error". Line ends in it become spaces.
  void Error(std::string_view text);
  void Integer(int64_t value);
  void Bulk(std::string_view bytes);
  void BulkOrNull(const std::optional<std::string_view>& bytes) { bytes ? Bulk(*bytes) : Null(); }
  void Null();
  void Array(size_t elements) { Header('*', elements); }
  // In RESP2 a map is an array of keys and values in turn.
  void Map(size_t pairs);
  // Bytes that another writer of the same protocol has made.
  void Raw(std::string_view encoded) { out_.append(encoded); }
  // Text for people: a verbatim string in RESP3.
  void Text(std::string_view text);

 private:
  void Header(char type, size_t number);

  std::string& out_;
  Protocol protocol_;
};

// The integers that Redis accepts: canonical decimal, no sign but '-', no leading zeros, no blanks.
std::optional<int64_t> ParseInteger(std::string_view text);

// ASCII only, as command names and options are.
bool EqualsIgnoringCase(std::string_view a, std::string_view b);
std::string ToLower(std::string_view text);

}  // namespace ringraft::kv
