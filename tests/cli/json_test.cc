// JSON is written so that every reader of it understands the same.
#include "cli/json.h"

#include <doctest/doctest.h>

namespace ringraft::cli {
namespace {

TEST_SUITE_BEGIN("cli json");

std::string Quoted(std::string_view text) {
  std::string out;
  JsonWriter(out).Text(text);
  return out;
}

TEST_CASE("objects and lists nest, with commas between what stands in them and nowhere else") {
  std::string out;
  JsonWriter json(out);
  json.BeginObject();
  json.Key("empty");
  json.BeginArray();
  json.EndArray();
  json.Key("list");
  json.BeginArray();
  for (uint64_t number : {uint64_t{0}, UINT64_MAX}) {
    json.BeginObject();
    json.Key("n");
    json.Number(number);
    json.EndObject();
  }
  json.Bool(true);
  json.Bool(false);
  json.Null();
  json.EndArray();
  json.Key("last");
  json.Text("x");
  json.EndObject();
  CHECK(out == R"({"empty":[],"list":[{"n":0},{"n":18446744073709551615},true,false,null],"last":"x"})");
}

TEST_CASE("quotes, backslashes and control characters are escaped, in keys too") {
  CHECK(Quoted("a\"b\\c/d") == R"("a\"b\\c/d")");
  CHECK(Quoted(std::string_view("\0\n\t\x1f\x7f", 5)) == R"("\u0000\u000a\u0009\u001f\u007f")");
  std::string out;
  JsonWriter(out).Key("a\"b");
  CHECK(out == R"("a\"b":)");
}

TEST_CASE("UTF-8 stays as it is, and every other byte becomes U+FFFD") {
  for (const char* good :
       {"\xc2\x80", "\xe2\x82\xac", "\xed\x9f\xbf", "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    CAPTURE(std::string(good));
    CHECK(IsUtf8(good));
    CHECK(Quoted(good) == "\"" + std::string(good) + "\"");
  }
  CHECK(Quoted("a\xff\xfe z") == R"("a\ufffd\ufffd z")");
  // Overlong, a surrogate, beyond U+10FFFF, cut off, a tail alone.
  for (const char* bad : {"\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3", "\xe2\x82", "\xf0\x90\x80", "\x80"}) {
    CHECK_FALSE(IsUtf8(bad));
    CHECK(Quoted(bad).find("\\ufffd") == 1);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace ringraft::cli
