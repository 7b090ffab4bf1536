// Lines of cells, in columns as wide as their longest cell.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

namespace ringraft::cli {

enum class Align { kLeft, kRight };

class Table {
 public:
  struct Column {
    const char* title;
    Align align;
  };

  Table() = default;  // without titles, all to the left
  Table(std::initializer_list<Column> columns);

  void Add(std::vector<std::string> line) { lines_.push_back(std::move(line)); }
  // Two blanks between columns, none at the end of a line.
  std::string Text() const;

 private:
  std::vector<Align> aligns_;
  std::vector<std::vector<std::string>> lines_;
};

}  // namespace ringraft::cli
