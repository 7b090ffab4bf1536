// Redis's glob patterns, and the time they take.
#include "kv/glob.h"

#include <doctest/doctest.h>

#include <string>

namespace ringraft::kv {

TEST_SUITE("kv: glob") {
  TEST_CASE("patterns match as in Redis") {
    struct Case {
      const char* pattern;
      const char* text;
      bool matches;
    };
    const Case cases[] = {
        {"*", "", true},
        {"*", "abc", true},
        {"", "", true},
        {"", "a", false},
        {"a", "a", true},
        {"a", "b", false},
        {"a", "ab", false},
        {"h?llo", "hello", true},
        {"h?llo", "hllo", false},
        {"h*llo", "heeello", true},
        {"h*llo", "hllo", true},
        {"h[ae]llo", "hallo", true},
        {"h[ae]llo", "hillo", false},
        {"h[^e]llo", "hallo", true},
        {"h[^e]llo", "hello", false},
        {"h[a-b]llo", "hbllo", true},
        {"h[b-a]llo", "hallo", true},
        {"h[a-b]llo", "hcllo", false},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"a\\", "a\\", true},
        {"[\\]]", "]", true},
        {"[a", "a", true},
        {"[", "a", false},
        {"[]", "a", false},
        {"[^]", "a", true},
        {"[a-]", "-", false},
        {"[a-]", "_", true},
        {"[-a]", "-", true},
        {"**a**", "a", true},
        {"*a*b", "xaxbxb", true},
        {"*a*b", "xaxbxc", false},
        {"a*", "ba", false},
        {"*.txt", "a.txt.txt", true},
        {"?", "", false},
        {"*?", "", false},
        {"*?", "a", true},
        {"a[", "a", false},
    };
    for (const Case& c : cases) {
      CAPTURE(c.pattern);
      CAPTURE(c.text);
      CHECK(GlobMatches(c.pattern, c.text) == c.matches);
    }
    CHECK(GlobMatches(std::string("a\0*", 3), std::string("a\0b", 3)));
  }

  TEST_CASE("a pattern of many stars takes no exponential time") {
    std::string pattern;
    for (int i = 0; i < 200; ++i) pattern += "a*";
    CHECK_FALSE(GlobMatches(pattern + "b", std::string(5000, 'a')));
  }
}

}  // namespace ringraft::kv
