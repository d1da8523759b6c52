// Splits texts and joins tokens, for tests/perception/test_tokenizer_in_cpp.py: as the tokenizers package does.
//
// tokenize FILE MOST. In, for each case, a line: `e` or `c` and the bytes of a text in hex, or `d` and token ids. Out: the ids,
// how many there are before any is cut off, or the text in hex.

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>

#include "text/tokenizer.hpp"

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    std::ifstream file(argv[1], std::ios::binary);
    const std::string data((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    std::unique_ptr<vljepa::Tokenizer> tokenizer;
    std::unique_ptr<vljepa::Detokenizer> detokenizer;
    std::string line;
    while (std::getline(std::cin, line)) {
        std::istringstream words(line.substr(1));
        try {
            if (line[0] != 'd') {
                if (!tokenizer) tokenizer = std::make_unique<vljepa::Tokenizer>(argv[1], data, std::stoi(argv[2]));
                std::string hex, text;
                words >> hex;
                for (std::size_t i = 0; i + 1 < hex.size(); i += 2) text += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
                if (line[0] == 'c') std::printf("%zu", tokenizer->count(text));
                else for (const std::int64_t id : tokenizer->encode(text)) std::printf("%lld ", static_cast<long long>(id));
            } else {
                if (!detokenizer) detokenizer = std::make_unique<vljepa::Detokenizer>(argv[1], data);
                vljepa::TokenIds ids;
                for (std::int64_t id = 0; words >> id;) ids.push_back(id);
                for (const char c : detokenizer->decode(ids)) std::printf("%02x", static_cast<unsigned char>(c));
            }
        } catch (const std::exception& error) {
            std::printf("error: %s", error.what());
        }
        std::printf("\n");
        std::fflush(stdout);
    }
}
