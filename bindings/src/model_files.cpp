// Queries, labels and heads that vljepa-edge in Python has written for a model.

#include <algorithm>
#include <stdexcept>

#include "bundle/json.hpp"
#include "text/npy.hpp"
#include "vision/pooling.hpp"
#include "vljepa/error.hpp"
#include "vljepa/labels.hpp"
#include "vljepa/model.hpp"
#include "vljepa/taught.hpp"

namespace vljepa {

namespace {

using Arrays = std::map<std::string, Npy>;

constexpr std::size_t kMostLabels = 1000;

// What `read` makes of the arrays of a file. Throws InputError that says what the file must be.
template <typename F>
auto read_file(const std::string& path, const char* kind, const char* written_by, F&& read) {
    try {
        return read(read_npz(path));
    } catch (const std::exception& error) {
        throw InputError(std::string("a ") + kind + " file must be written by `" + written_by + "` for this model, got " +
                         path + ": " + error.what());
    }
}

Query query_of(const Arrays& arrays, const std::string& text) {
    Query query;
    query.text = text;
    query.tokens = numbers<float>(arrays, "tokens", 3);
    query.mask = numbers<std::int64_t>(arrays, "mask", 2);
    const Shape& tokens = arrays.at("tokens").shape;
    query.width = tokens[2];
    if (tokens[0] != 1 || tokens[1] < 1 || arrays.at("mask").shape != Shape{1, tokens[1]}) {
        throw std::runtime_error("its tokens must be float32 [1, length, width] and its mask int64 [1, length]");
    }
    return query;
}

std::vector<std::string> names_of(const std::string& json) {
    const Json parsed = parse_json(json);
    std::vector<std::string> names;
    if (parsed.list() != nullptr) {
        for (const Json& name : *parsed.list()) {
            if (name.text() != nullptr) names.push_back(*name.text());
        }
    }
    if (names.empty() || names.size() != parsed.list()->size() || names.size() > kMostLabels) {
        throw std::runtime_error("its names must be 1 to 1000 texts");
    }
    return names;
}

bool is_background(const std::string& label) {
    constexpr const char* kBlanks = " \t\n\r";
    const std::size_t first = label.find_first_not_of(kBlanks);
    if (first == std::string::npos) return false;
    std::string word = label.substr(first, label.find_last_not_of(kBlanks) - first + 1);
    for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return word == "nothing" || word == "background";
}

TaughtHead head_of(const Arrays& arrays, const std::string& encoder) {
    if (texts(arrays, "format", 0).front() != "vljepa-head" || numbers<std::int64_t>(arrays, "version", 0).front() != 1) {
        throw std::runtime_error("it is of another format; teach it again and save it");
    }
    if (texts(arrays, "encoder", 0).front() != encoder) {
        throw std::runtime_error("it was taught with the X-encoder of " + texts(arrays, "model", 0).front() +
                                 ", and this model has another");
    }
    const std::vector<std::string> labels = texts(arrays, "labels", 1);
    const std::vector<float> weights = numbers<float>(arrays, "weights", 2);
    const std::vector<float> bias = numbers<float>(arrays, "bias", 1);
    const std::vector<double> calibration = numbers<double>(arrays, "calibration", 1);
    if (labels.size() > kMostLabels || bias.size() != labels.size() || arrays.at("weights").shape[0] != static_cast<std::int64_t>(labels.size()) ||
        calibration.size() != 3) {
        throw std::runtime_error("its arrays do not fit each other");
    }
    const std::size_t width = weights.size() / std::max<std::size_t>(labels.size(), 1);
    std::vector<std::string> events;
    std::vector<float> kept_weights;
    std::vector<float> kept_bias;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if (is_background(labels[i])) continue;
        events.push_back(labels[i]);
        const auto row = weights.begin() + static_cast<std::ptrdiff_t>(i * width);
        kept_weights.insert(kept_weights.end(), row, row + static_cast<std::ptrdiff_t>(width));
        kept_bias.push_back(bias[i]);
    }
    if (!(calibration[2] >= 0.0 && calibration[2] <= 1.0)) throw std::runtime_error("its threshold must be 0 to 1");
    return {std::move(events), Head(std::move(kept_weights), std::move(kept_bias), calibration[0], calibration[1]),
            calibration[2]};
}

}  // namespace

Query Model::read_query(const std::string& path) const {
    return read_file(path, "query", "vljepa query TEXT --out FILE", [&](const Arrays& arrays) {
        if (letters(arrays, "graph") != manifest().graph("query")->entry.sha256) {
            throw std::runtime_error("it was made by another graph for queries");
        }
        return query_of(arrays, letters(arrays, "text"));
    });
}

std::shared_ptr<const Labels> Model::read_labels(const std::string& path) const {
    return read_file(path, "labels", "vljepa labels A,B --out FILE", [&](const Arrays& arrays) {
        const std::string made_by = letters(arrays, "graphs");
        if (made_by != manifest().graph("query")->entry.sha256 + manifest().graph("y_encoder")->entry.sha256) {
            throw std::runtime_error("it was made by other graphs for texts");
        }
        std::vector<float> rows = numbers<float>(arrays, "rows", 2);
        if (arrays.at("rows").shape[1] != static_cast<std::int64_t>(width())) {
            throw std::runtime_error("its rows have another width than the model's embeddings");
        }
        return std::make_shared<const Labels>(names_of(letters(arrays, "names")), query_of(arrays, letters(arrays, "query")),
                                              std::move(rows), width(), watch_calibrator(manifest()));
    });
}

std::shared_ptr<const TaughtHead> Model::read_head(const std::string& path) const {
    return read_file(path, "head", "vljepa teach", [&](const Arrays& arrays) {
        return std::make_shared<const TaughtHead>(head_of(arrays, encoder_digest(manifest())));
    });
}

}  // namespace vljepa
