#include "text/tokenizer.hpp"

#include <algorithm>
#include <cctype>
#include <limits>

#include "text/byte_level.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_mark(char c) { return c > ' ' && c < 127 && !is_letter(c) && !is_digit(c); }

const std::string& text_of(const Json* value) {
    static const std::string kNone;
    return value != nullptr && value->text() != nullptr ? *value->text() : kNone;
}

bool is_true(const Json* value, bool otherwise) {
    return value != nullptr && value->boolean() != nullptr ? *value->boolean() : otherwise;
}

// Words as BERT splits them: white space between, marks by themselves.
std::vector<std::string_view> bert_words(std::string_view text) {
    std::vector<std::string_view> words;
    std::size_t first = 0;
    for (std::size_t i = 0; i <= text.size(); ++i) {
        const bool ends = i == text.size() || is_space(text[i]) || is_mark(text[i]);
        if (!ends) continue;
        if (i > first) words.push_back(text.substr(first, i - first));
        if (i < text.size() && is_mark(text[i])) words.push_back(text.substr(i, 1));
        first = i + 1;
    }
    return words;
}

// Words as GPT-2 splits them: an ending such as 's, or letters, digits or marks with the one space before them; of white
// space in front of a word all but its last goes by itself.
std::vector<std::string_view> gpt2_words(std::string_view text) {
    std::vector<std::string_view> words;
    std::size_t at = 0;
    const auto run = [&](std::size_t from, bool (*belongs)(char)) {
        while (from < text.size() && belongs(text[from])) ++from;
        return from;
    };
    while (at < text.size()) {
        std::size_t end = at;
        if (text[at] == '\'') {
            for (const std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
                if (text.substr(at, ending.size()) == ending) {
                    end = at + ending.size();
                    break;
                }
            }
        }
        if (end == at) {
            const std::size_t word = text[at] == ' ' && at + 1 < text.size() ? at + 1 : at;
            const auto is_other = [](char c) { return !is_space(c) && !is_letter(c) && !is_digit(c); };
            if (is_letter(text[word])) end = run(word, is_letter);
            else if (is_digit(text[word])) end = run(word, is_digit);
            else if (is_other(text[word])) end = run(word, is_other);
            else {
                end = run(at, is_space);
                if (end < text.size() && end - at > 1) --end;
            }
        }
        words.push_back(text.substr(at, end - at));
        at = end;
    }
    return words;
}

}  // namespace

Json parse_tokenizer(const std::string& file, const std::string& data) {
    try {
        return parse_json(data);
    } catch (const std::runtime_error& error) {
        throw BundleError(file, std::string("is not a tokenizer in the Hugging Face tokenizers format: ") + error.what());
    }
}

Tokenizer::Tokenizer(const std::string& file, const std::string& data, int most)
    : file_(file), most_(static_cast<std::size_t>(most)) {
    const Json json = parse_tokenizer(file, data);
    const Json* model = json.find("model");
    if (model == nullptr) throw BundleError(file, "is not a tokenizer in the Hugging Face tokenizers format");
    read_model(*model);
    read_normalizer(json.find("normalizer"));
    read_pre_tokenizer(json.find("pre_tokenizer"));
    if (const Json* added = json.find("added_tokens"); added != nullptr && added->list() != nullptr) {
        for (const Json& token : *added->list()) {
            const Json* id = token.find("id");
            const std::string& content = text_of(token.find("content"));
            if (id == nullptr || id->integer() == nullptr || content.empty()) unknown("an added token without id or content");
            vocabulary_[content] = *id->integer();
            added_.emplace_back(content, *id->integer());
        }
    }
    read_post_processor(json.find("post_processor"));
}

void Tokenizer::unknown(const std::string& what) const {
    throw BundleError(file_, what + " is not known to libvljepa, which has WordPiece and byte-level BPE");
}

void Tokenizer::read_normalizer(const Json* normalizer) {
    if (normalizer == nullptr || normalizer->is_null()) return;
    const std::string& type = text_of(normalizer->find("type"));
    if (type == "Lowercase") {
        lowers_ = true;
    } else if (type == "BertNormalizer") {  // what it does with accents and Chinese is not for ASCII
        lowers_ = is_true(normalizer->find("lowercase"), true);
        cleans_ = is_true(normalizer->find("clean_text"), true);
    } else if (type != "NFC" && type != "NFD" && type != "NFKC" && type != "NFKD") {  // which leave ASCII as it is
        unknown("the normalizer " + type);
    }
}

void Tokenizer::read_pre_tokenizer(const Json* pre_tokenizer) {
    const std::string& type = pre_tokenizer == nullptr ? text_of(nullptr) : text_of(pre_tokenizer->find("type"));
    if (kind_ == Kind::word_piece) {
        if (type != "BertPreTokenizer") unknown("the pre-tokenizer " + type + " of WordPiece");
        return;
    }
    if (type != "ByteLevel") unknown("the pre-tokenizer " + type + " of BPE");
    adds_space_ = is_true(pre_tokenizer->find("add_prefix_space"), true);
    splits_ = is_true(pre_tokenizer->find("use_regex"), true);
}

void Tokenizer::read_model(const Json& model) {
    const std::string& type = text_of(model.find("type"));
    if (type != "WordPiece" && type != "BPE") unknown("the model " + type);
    kind_ = type == "WordPiece" ? Kind::word_piece : Kind::byte_level;
    const Json* vocabulary = model.find("vocab");
    if (vocabulary == nullptr || vocabulary->object() == nullptr) unknown("a model without a vocabulary");
    vocabulary_.reserve(vocabulary->object()->size());
    for (const auto& [token, id] : *vocabulary->object()) {
        if (id.integer() == nullptr) unknown("a token without a number");
        vocabulary_[token] = *id.integer();
    }
    const auto unknown_token = vocabulary_.find(text_of(model.find("unk_token")));
    if (unknown_token != vocabulary_.end()) unknown_ = unknown_token->second;
    if (kind_ == Kind::word_piece) {
        prefix_ = text_of(model.find("continuing_subword_prefix"));
        const Json* longest = model.find("max_input_chars_per_word");
        if (longest != nullptr && longest->integer() != nullptr) longest_word_ = static_cast<std::size_t>(*longest->integer());
        if (unknown_ < 0) unknown("WordPiece without a token for what is unknown");
        return;
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        if (!text_of(model.find(key)).empty()) unknown(std::string("BPE with ") + key);
    }
    ignores_merges_ = is_true(model.find("ignore_merges"), false);
    const Json* merges = model.find("merges");
    if (merges == nullptr || merges->list() == nullptr) unknown("BPE without merges");
    for (const Json& merge : *merges->list()) {
        std::pair<std::string, std::string> pair;
        if (const Json::List* two = merge.list(); two != nullptr && two->size() == 2) {
            pair = {text_of(&(*two)[0]), text_of(&(*two)[1])};
        } else {
            const std::string& text = text_of(&merge);
            const std::size_t space = text.find(' ');
            if (space == std::string::npos) unknown("a merge of one token");
            pair = {text.substr(0, space), text.substr(space + 1)};
        }
        merges_.emplace(std::move(pair), merges_.size());
    }
}

void Tokenizer::read_post_processor(const Json* processor) {
    if (processor == nullptr || processor->is_null()) return;
    const std::string& type = text_of(processor->find("type"));
    if (type == "ByteLevel") return;  // which moves offsets only
    if (type != "TemplateProcessing") unknown("the post-processor " + type);
    const Json* single = processor->find("single");
    const Json* specials = processor->find("special_tokens");
    if (single == nullptr || single->list() == nullptr || specials == nullptr) unknown("a template without its parts");
    TokenIds* place = &before_;
    for (const Json& part : *single->list()) {
        const Json* special = part.find("SpecialToken");
        if (special == nullptr) {
            place = &after_;
            continue;
        }
        const Json* about = specials->find(text_of(special->find("id")));
        const Json* ids = about == nullptr ? nullptr : about->find("ids");
        if (ids == nullptr || ids->list() == nullptr) unknown("a template with an unknown token");
        for (const Json& id : *ids->list()) place->push_back(id.integer() == nullptr ? 0 : *id.integer());
    }
}

TokenIds Tokenizer::split(const std::string& text) const {
    for (const char c : text) {
        if (static_cast<unsigned char>(c) >= 0x80) {
            throw InputError("a text must be ASCII for libvljepa to split it into tokens, got \"" + text +
                             "\"; for a query write `vljepa query TEXT --out FILE` and load that file");
        }
    }
    TokenIds ids;
    std::size_t first = 0;
    while (first < text.size()) {  // added tokens are found in the text as it is
        std::size_t at = std::string::npos;
        const std::pair<std::string, std::int64_t>* found = nullptr;
        for (const auto& token : added_) {
            const std::size_t place = text.find(token.first, first);
            const bool is_longer = place == at && found != nullptr && token.first.size() > found->first.size();
            if (place != std::string::npos && (at == std::string::npos || place < at || is_longer)) {
                at = place;
                found = &token;
            }
        }
        const std::size_t end = std::min(at, text.size());
        if (end > first) encode_part(std::string_view(text).substr(first, end - first), ids);
        if (found != nullptr) ids.push_back(found->second);
        first = found == nullptr ? text.size() : at + found->first.size();
    }
    return ids;
}

std::size_t Tokenizer::count(const std::string& text) const {
    return split(text).size() + before_.size() + after_.size();
}

TokenIds Tokenizer::encode(const std::string& text) const {
    TokenIds ids = split(text);
    const std::size_t around = before_.size() + after_.size();
    if (ids.size() + around > most_) ids.resize(most_ > around ? most_ - around : 0);
    ids.insert(ids.begin(), before_.begin(), before_.end());
    ids.insert(ids.end(), after_.begin(), after_.end());
    if (ids.size() > most_) ids.resize(most_);
    return ids;
}

std::string Tokenizer::normalized(std::string_view text) const {
    std::string out;
    for (char c : text) {
        if (cleans_ && is_space(c) && c != '\v' && c != '\f') c = ' ';
        else if (cleans_ && (static_cast<unsigned char>(c) < 32 || c == 127)) continue;
        out += lowers_ ? static_cast<char>(std::tolower(static_cast<unsigned char>(c))) : c;
    }
    return out;
}

void Tokenizer::encode_part(std::string_view text, TokenIds& ids) const {
    std::string clean = normalized(text);
    if (kind_ == Kind::word_piece) {
        for (const std::string_view word : bert_words(clean)) word_piece(word, ids);
        return;
    }
    if (adds_space_ && !clean.empty() && !is_space(clean.front())) clean.insert(clean.begin(), ' ');
    if (!splits_) {
        byte_level(clean, ids);
        return;
    }
    for (const std::string_view word : gpt2_words(clean)) byte_level(word, ids);
}

void Tokenizer::word_piece(std::string_view word, TokenIds& ids) const {
    if (word.size() > longest_word_) {
        ids.push_back(unknown_);
        return;
    }
    const std::size_t before = ids.size();
    std::size_t first = 0;
    while (first < word.size()) {
        std::size_t end = word.size();
        std::int64_t id = -1;
        for (; end > first; --end) {
            id = id_of((first == 0 ? "" : prefix_) + std::string(word.substr(first, end - first)));
            if (id >= 0) break;
        }
        if (id < 0) {  // one piece that is unknown makes all of the word so
            ids.resize(before);
            ids.push_back(unknown_);
            return;
        }
        ids.push_back(id);
        first = end;
    }
}

void Tokenizer::byte_level(std::string_view word, TokenIds& ids) const {
    std::vector<std::string> parts;
    std::string unmerged;
    for (const char c : word) {
        parts.push_back(byte_characters()[static_cast<unsigned char>(c)]);
        unmerged += parts.back();
    }
    if (ignores_merges_) {
        if (const std::int64_t id = id_of(unmerged); id >= 0) {
            ids.push_back(id);
            return;
        }
    }
    while (parts.size() > 1) {
        std::size_t best = std::numeric_limits<std::size_t>::max();
        std::size_t place = 0;
        for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
            const auto merge = merges_.find({parts[i], parts[i + 1]});
            if (merge != merges_.end() && merge->second < best) {
                best = merge->second;
                place = i;
            }
        }
        if (best == std::numeric_limits<std::size_t>::max()) break;
        parts[place] += parts[place + 1];
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(place) + 1);
    }
    for (const std::string& part : parts) {
        const std::int64_t id = id_of(part);
        if (id >= 0) ids.push_back(id);
        else if (unknown_ >= 0) ids.push_back(unknown_);
    }
}

std::int64_t Tokenizer::id_of(const std::string& token) const {
    const auto found = vocabulary_.find(token);
    return found == vocabulary_.end() ? -1 : found->second;
}

}  // namespace vljepa
