#include <algorithm>

#include "text/byte_level.hpp"
#include "text/tokenizer.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

namespace {

const std::string& text_of(const Json* value) {
    static const std::string kNone;
    return value != nullptr && value->text() != nullptr ? *value->text() : kNone;
}

std::size_t number_of(const Json* value) {
    return value != nullptr && value->integer() != nullptr ? static_cast<std::size_t>(std::max<std::int64_t>(*value->integer(), 0)) : 0;
}

void replace_all(std::string& text, const std::string& pattern, const std::string& content) {
    if (pattern.empty()) return;
    for (std::size_t at = 0; (at = text.find(pattern, at)) != std::string::npos; at += content.size()) {
        text.replace(at, pattern.size(), content);
    }
}

void clean(std::string& token) {
    static const std::vector<std::pair<std::string, std::string>> kClean{
        {" .", "."},     {" ?", "?"},     {" !", "!"},           {" ,", ","},   {" ' ", "'"},  {" n't", "n't"},
        {" 'm", "'m"},   {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [pattern, content] : kClean) replace_all(token, pattern, content);
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

// The byte that a token such as <0x0A> stands for, or -1.
int fallback_byte(const std::string& token) {
    if (token.size() != 6 || token.compare(0, 3, "<0x") != 0 || token[5] != '>') return -1;
    const int high = hex_digit(token[3]);
    const int low = hex_digit(token[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::vector<std::string> from_bytes(const std::vector<std::string>& tokens) {
    std::vector<std::string> out;
    std::string bytes;
    const auto finish = [&] {
        if (bytes.empty()) return;
        const std::string text = lossy_utf8(bytes);
        if (text == bytes) out.push_back(text);
        else out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
        bytes.clear();
    };
    for (const std::string& token : tokens) {
        const int byte = fallback_byte(token);
        if (byte >= 0) {
            bytes += static_cast<char>(byte);
            continue;
        }
        finish();
        out.push_back(token);
    }
    finish();
    return out;
}

std::string joined(const std::vector<std::string>& tokens) {
    std::string text;
    for (const std::string& token : tokens) text += token;
    return text;
}

std::string stripped(const std::string& text) {
    const char* kSpaces = " \t\n\v\f\r\x1c\x1d\x1e\x1f";
    const std::size_t first = text.find_first_not_of(kSpaces);
    return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

}  // namespace

Detokenizer::Detokenizer(const std::string& file, const std::string& data) {
    const Json json = parse_tokenizer(file, data);
    const Json* model = json.find("model");
    const Json* vocabulary = model == nullptr ? nullptr : model->find("vocab");
    if (vocabulary == nullptr || vocabulary->object() == nullptr) {
        throw BundleError(file, "has no vocabulary by token, which libvljepa needs to say texts");
    }
    for (const auto& [token, id] : *vocabulary->object()) {
        if (id.integer() != nullptr) tokens_[*id.integer()] = token;
    }
    if (const Json* added = json.find("added_tokens"); added != nullptr && added->list() != nullptr) {
        for (const Json& token : *added->list()) {
            const Json* id = token.find("id");
            if (id == nullptr || id->integer() == nullptr) throw BundleError(file, "has an added token without an id");
            tokens_[*id->integer()] = text_of(token.find("content"));
            const Json* special = token.find("special");
            special_[*id->integer()] = special != nullptr && special->boolean() != nullptr && *special->boolean();
        }
    }
    const Json* decoder = json.find("decoder");
    joins_with_spaces_ = decoder == nullptr || decoder->is_null();
    if (!joins_with_spaces_) add_steps(*decoder, file);
}

void Detokenizer::add_steps(const Json& decoder, const std::string& file) {
    const std::string& type = text_of(decoder.find("type"));
    if (type == "Sequence") {
        const Json* steps = decoder.find("decoders");
        if (steps == nullptr || steps->list() == nullptr) throw BundleError(file, "has a sequence of no decoders");
        for (const Json& step : *steps->list()) add_steps(step, file);
        return;
    }
    Step step{Step::Kind::fuse, "", text_of(decoder.find("content")), 0, 0, false};
    if (type == "ByteLevel") {
        step.kind = Step::Kind::byte_level;
    } else if (type == "Replace" && decoder.find("pattern") != nullptr && decoder.find("pattern")->find("String") != nullptr) {
        step.kind = Step::Kind::replace;
        step.pattern = text_of(decoder.find("pattern")->find("String"));
    } else if (type == "WordPiece") {
        step.kind = Step::Kind::word_piece;
        step.pattern = text_of(decoder.find("prefix"));
        const Json* cleans = decoder.find("cleanup");
        step.cleans = cleans == nullptr || cleans->boolean() == nullptr || *cleans->boolean();
    } else if (type == "Strip") {
        step.kind = Step::Kind::strip;
        step.start = number_of(decoder.find("start"));
        step.stop = number_of(decoder.find("stop"));
    } else if (type == "ByteFallback") {
        step.kind = Step::Kind::byte_fallback;
    } else if (type != "Fuse") {
        throw BundleError(file, "has a decoder that is not known to libvljepa: " + (type.empty() ? "one without type" : type));
    }
    steps_.push_back(step);
}

std::string Detokenizer::decode(const TokenIds& ids) const {
    std::vector<std::string> tokens;
    for (const std::int64_t id : ids) {
        const auto special = special_.find(id);
        const auto token = tokens_.find(id);
        if (token != tokens_.end() && !(special != special_.end() && special->second)) tokens.push_back(token->second);
    }
    std::string text;
    if (joins_with_spaces_) {
        for (const std::string& token : tokens) text += (text.empty() ? "" : " ") + token;
        return stripped(text);
    }
    for (const Step& step : steps_) apply(step, tokens);
    return stripped(joined(tokens));
}

void Detokenizer::apply(const Step& step, std::vector<std::string>& tokens) const {
    switch (step.kind) {
        case Step::Kind::byte_level: {
            std::string bytes;
            for (const std::string& token : tokens) {
                if (!bytes_of(token, bytes)) bytes += token;
            }
            tokens = {lossy_utf8(bytes)};
            return;
        }
        case Step::Kind::replace:
            for (std::string& token : tokens) replace_all(token, step.pattern, step.content);
            return;
        case Step::Kind::word_piece:
            for (std::size_t i = 0; i < tokens.size(); ++i) {
                const bool is_later = !step.pattern.empty() && tokens[i].compare(0, step.pattern.size(), step.pattern) == 0;
                if (i > 0) tokens[i] = is_later ? tokens[i].substr(step.pattern.size()) : " " + tokens[i];
                if (step.cleans) clean(tokens[i]);
            }
            return;
        case Step::Kind::fuse: tokens = {joined(tokens)}; return;
        case Step::Kind::strip:
            for (std::string& token : tokens) {
                std::size_t first = 0;
                std::size_t last = token.size();
                const char wanted = step.content.empty() ? '\0' : step.content.front();
                while (first < last && first < step.start && token[first] == wanted) ++first;
                while (last > first && token.size() - last < step.stop && token[last - 1] == wanted) --last;
                token = token.substr(first, last - first);
            }
            return;
        case Step::Kind::byte_fallback: tokens = from_bytes(tokens); return;
    }
}

}  // namespace vljepa
