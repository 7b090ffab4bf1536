// Writes JSON (RFC 8259) onto a text, in one line. The caller closes every object and array that it opens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ringraft::cli {

// Valid UTF-8, without surrogates and overlong forms.
bool IsUtf8(std::string_view text);

class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  void BeginObject() { Begin('{'); }
  void EndObject() { End('}'); }
  void BeginArray() { Begin('['); }
  void EndArray() { End(']'); }
  void Key(std::string_view name);

  // Bytes that are no UTF-8 become U+FFFD.
  void Text(std::string_view text);
  void Number(uint64_t number);
  void Bool(bool value);
  void Null();

 private:
  void Begin(char bracket);
  void End(char bracket);
  void BeforeValue();
  void Quote(std::string_view text);

  std::string& out_;
  bool needs_comma_ = false;  // before the next key or value
};

}  // namespace ringraft::cli
