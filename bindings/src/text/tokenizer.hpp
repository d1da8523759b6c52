#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bundle/json.hpp"

namespace vljepa {

using TokenIds = std::vector<std::int64_t>;

/// The JSON of a file in the format of Hugging Face tokenizers; `file` names it in the message of a BundleError.
Json parse_tokenizer(const std::string& file, const std::string& data);

/// Texts to token ids, by a file in the format of Hugging Face tokenizers: BERT's WordPiece, and byte-level BPE. Texts
/// are ASCII: what lies beyond it needs Unicode's tables, which this library does not have.
class Tokenizer {
  public:
    /// `file` names it in messages; `most`: the tokens at which a text is cut off. Throws BundleError for a file that is
    /// damaged, or of a kind that is not known here.
    Tokenizer(const std::string& file, const std::string& data, int most);

    /// Throws InputError for a text that is not ASCII.
    TokenIds encode(const std::string& text) const;

    /// How many tokens a text has, those that encode() cuts off too. Throws as it does.
    std::size_t count(const std::string& text) const;

  private:
    enum class Kind { word_piece, byte_level };

    void read_normalizer(const Json* normalizer);
    void read_pre_tokenizer(const Json* pre_tokenizer);
    void read_model(const Json& model);
    void read_post_processor(const Json* processor);
    TokenIds split(const std::string& text) const;
    std::string normalized(std::string_view text) const;
    void encode_part(std::string_view text, TokenIds& ids) const;
    void word_piece(std::string_view word, TokenIds& ids) const;
    void byte_level(std::string_view word, TokenIds& ids) const;
    std::int64_t id_of(const std::string& token) const;
    [[noreturn]] void unknown(const std::string& what) const;

    std::string file_;
    std::size_t most_;
    Kind kind_ = Kind::word_piece;
    bool lowers_ = false;
    bool cleans_ = false;
    bool adds_space_ = false;
    bool splits_ = true;
    bool ignores_merges_ = false;
    std::string prefix_;  // of a word's later pieces
    std::size_t longest_word_ = 100;
    std::int64_t unknown_ = -1;
    std::unordered_map<std::string, std::int64_t> vocabulary_;
    std::map<std::pair<std::string, std::string>, std::size_t> merges_;  // by rank
    std::vector<std::pair<std::string, std::int64_t>> added_;            // found in a text before anything else
    TokenIds before_;
    TokenIds after_;
};

/// Token ids to text, by a file in the same format.
class Detokenizer {
  public:
    /// Throws BundleError for a file that is damaged, or whose decoder is not known here.
    Detokenizer(const std::string& file, const std::string& data);

    /// The text of token ids, without special tokens and without white space around it.
    std::string decode(const TokenIds& ids) const;

  private:
    struct Step {
        enum class Kind { byte_level, replace, word_piece, fuse, strip, byte_fallback } kind;
        std::string pattern;
        std::string content;
        std::size_t start = 0;
        std::size_t stop = 0;
        bool cleans = false;
    };

    void add_steps(const Json& decoder, const std::string& file);
    void apply(const Step& step, std::vector<std::string>& tokens) const;

    std::unordered_map<std::int64_t, std::string> tokens_;
    std::unordered_map<std::int64_t, bool> special_;
    bool joins_with_spaces_ = true;
    std::vector<Step> steps_;
};

}  // namespace vljepa
