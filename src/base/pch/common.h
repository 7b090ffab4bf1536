// Headers that nearly every source includes, precompiled in g++ builds (b_pch). No source may rely on it; builds
// without it check that.
#ifndef RINGRAFT_PCH_COMMON_H
#define RINGRAFT_PCH_COMMON_H

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/outcome/std_result.hpp>
#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#endif
