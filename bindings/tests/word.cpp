// The texts that stand for labels, for tests/perception/test_wordings_in_cpp.py: as Python's `wordings` puts them.
//
// word PROMPT. In, a line for each label. Out, its texts, parted by tabs, behind its singular.

#include <iostream>
#include <string>

#include "text/wordings.hpp"

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    for (std::string label; std::getline(std::cin, label);) {
        std::cout << vljepa::singular(vljepa::without_article(label));
        for (const std::string& text : vljepa::wordings(label, argv[1])) std::cout << '\t' << text;
        std::cout << '\n';
    }
}
