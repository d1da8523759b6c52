#include "vljepa/manifest.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <sstream>

#include "bundle/fields.hpp"
#include "bundle/manifest_rules.hpp"
#include "bundle/versions.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

namespace {

constexpr std::int64_t kCount = 65536;
constexpr std::int64_t kLargestFile = std::int64_t{1} << 40;
constexpr std::int64_t kLargestDimension = 1 << 24;
constexpr std::size_t kLongestText = 10'000;
constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();

std::string read_hash(Fields& fields) {
    std::string hash = fields.text("sha256", 0, kAny);
    const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    if (hash.size() != 64 || !std::all_of(hash.begin(), hash.end(), is_digit)) {
        refuse(fields.at("sha256"), "must be 64 hex digits in lower case, got \"" + hash.substr(0, 80) + "\"");
    }
    return hash;
}

FileEntry read_file(Fields& fields) {
    FileEntry entry;
    entry.sha256 = read_hash(fields);
    entry.bytes = fields.integer("bytes", 1, kLargestFile);
    return entry;
}

TensorSpec read_tensor(const Json& value, const std::string& where) {
    Fields fields(value, where);
    TensorSpec tensor;
    tensor.name = fields.text("name");
    const Json::List& shape = as_list(fields.need("shape"), fields.at("shape"), 0, 8);
    for (std::size_t i = 0; i < shape.size(); ++i) {
        tensor.shape.push_back(as_integer(shape[i], fields.at("shape") + "." + std::to_string(i), -1, kLargestDimension));
    }
    tensor.type = static_cast<DataType>(fields.choice("dtype", {"uint8", "int64", "float32"}));
    fields.done();
    return tensor;
}

std::vector<TensorSpec> read_tensors(Fields& fields, std::string_view key) {
    const Json::List& list = as_list(fields.need(key), fields.at(key), 1, kAny);
    std::vector<TensorSpec> found;
    for (std::size_t i = 0; i < list.size(); ++i) {
        found.push_back(read_tensor(list[i], fields.at(key) + "." + std::to_string(i)));
    }
    return found;
}

GraphEntry read_graph(const std::string& role, const Json& value) {
    Fields fields(value, "graphs." + role);
    GraphEntry graph;
    graph.role = role;
    graph.file = fields.text("file");
    graph.entry = read_file(fields);
    graph.unit = static_cast<Unit>(fields.choice("unit", {"frame", "clip", "text", "step"}));
    graph.inputs = read_tensors(fields, "inputs");
    graph.outputs = read_tensors(fields, "outputs");
    fields.done();
    return graph;
}

VideoEntry read_video(const Json& value) {
    Fields fields(value, "video");
    VideoEntry video;
    video.width = static_cast<int>(fields.integer("width", 1, kCount));
    video.height = static_cast<int>(fields.integer("height", 1, kCount));
    video.resize = static_cast<Resize>(fields.choice("resize", {"cover", "stretch"}));
    video.fps = fields.number("fps", 0.001, 1000.0);
    video.window = static_cast<int>(fields.integer("window", 1, kCount));
    video.hop = static_cast<int>(fields.integer("hop", 1, kCount));
    fields.done();
    return video;
}

TextEntry read_text(const Json& value) {
    Fields fields(value, "text");
    TextEntry text;
    text.query_tokenizer = fields.text("query_tokenizer");
    text.target_tokenizer = fields.text("target_tokenizer");
    text.decoder_tokenizer = fields.text("decoder_tokenizer");
    text.query_tokens = static_cast<int>(fields.integer("query_tokens", 1, kCount));
    text.target_tokens = static_cast<int>(fields.integer("target_tokens", 1, kCount));
    text.decoder_tokens = static_cast<int>(fields.integer("decoder_tokens", 1, kCount));
    if (const Json* prefix = fields.may("decoder_prefix")) as_integer(*prefix, fields.at("decoder_prefix"), 0, kCount);
    const std::int64_t last_token = kLargestDimension - 1;
    text.decoder_end = fields.integer("decoder_end", 0, last_token);
    const Json& start = fields.need("decoder_start");
    text.decoder_start = start.is_null() ? text.decoder_end : as_integer(start, fields.at("decoder_start"), 0, last_token);
    text.default_query = fields.text("default_query", 0, kAny);
    if (fields.may("empty_query") != nullptr) {
        text.empty_query_has_no_token = fields.choice("empty_query", {"tokens", "none"}) == 1;
    }
    if (fields.may("target_prompt") != nullptr) text.target_prompt = fields.text("target_prompt", 0, kLongestText);
    fields.done();
    return text;
}

Calibrator read_calibrator(const Json& value, const std::string& where) {
    Fields fields(value, where);
    Calibrator found;
    found.is_logistic = fields.choice("kind", {"logistic", "isotonic"}) == 0;
    if (found.is_logistic) {
        found.slope = fields.number("slope", 0.0, 1e6);
        found.offset = fields.number("offset", -1e6, 1e6);
        fields.done();
        return found;
    }
    const Json::List& knots = as_list(fields.need("knots"), fields.at("knots"), 1, 1000);
    for (const Json& knot : knots) {
        const Json::List& pair = as_list(knot, fields.at("knots"), 2, 2);
        const double number = as_number(pair[0], fields.at("knots"), -1e6, 1e6);
        const double chance = as_number(pair[1], fields.at("knots"), 0.0, 1.0);
        if (!found.knots.empty() && !(found.knots.back().first < number && found.knots.back().second <= chance)) {
            refuse(fields.at("knots"), "numbers must rise and probabilities must not fall");
        }
        found.knots.emplace_back(number, chance);
    }
    fields.done();
    return found;
}

GeneralEntry read_general(const Json& value, const std::string& where) {
    Fields fields(value, where);
    GeneralEntry general;
    general.texts = fields.text("texts", 0, kAny);
    general.embeddings = fields.text("embeddings", 0, kAny);
    general.calibrator = read_calibrator(fields.need("calibrator"), fields.at("calibrator"));
    fields.done();
    return general;
}

ConfidenceEntry read_confidence(const Json& value) {
    Fields fields(value, "confidence");
    ConfidenceEntry found;
    const std::array<std::pair<const char*, std::optional<Calibrator>*>, 5> calibrators{{
        {"caption", &found.caption},
        {"answer", &found.answer},
        {"label", &found.label},
        {"watch", &found.watch},
        {"presence", &found.presence},
    }};
    for (const auto& [key, place] : calibrators) {
        if (const Json* given = fields.may(key, true)) *place = read_calibrator(*given, fields.at(key));
    }
    if (const Json* queries = fields.may("caption_queries")) {
        for (const Json& query : as_list(*queries, fields.at("caption_queries"), 0, 1000)) {
            found.caption_queries.push_back(as_text(query, fields.at("caption_queries"), 0, kLongestText));
        }
    }
    if (const Json* general = fields.may("general", true)) found.general = read_general(*general, fields.at("general"));
    if (fields.may("min_confidence") != nullptr) found.min_confidence = fields.number("min_confidence", 0.0, 1.0);
    fields.done();
    return found;
}

// Keys that it does not know are kept by those who write bundles, and unused.
void read_prompts(const Json& value, Manifest& manifest) {
    Fields fields(value, "prompts");
    if (fields.may("classify") != nullptr) manifest.label_prompt = fields.text("classify", 0, kAny);
    if (fields.may("answer") != nullptr) manifest.answer_prompt = fields.text("answer", 0, kAny);
    manifest.label_query = fields.maybe_text("classify_query");
    fields.maybe_text("transition");
    const Json* scale = fields.may("scale");
    if (scale == nullptr) return;
    Json number = *scale;
    if (scale->text() != nullptr) {  // bundles made before 0.9 have it as text
        std::istringstream stream(*scale->text());
        stream.imbue(std::locale::classic());
        double parsed = 0.0;
        if (stream >> parsed && stream.peek() == std::istringstream::traits_type::eof()) number = Json(parsed);
    }
    const double least = std::numeric_limits<double>::denorm_min();
    as_number(number, fields.at("scale"), least, std::numeric_limits<double>::max());
}

void read_licences(Fields& fields) {
    const Json::List& licences = as_list(fields.need("licences"), "licences", 0, kAny);
    for (std::size_t i = 0; i < licences.size(); ++i) {
        Fields licence(licences[i], "licences." + std::to_string(i));
        for (const char* key : {"part", "licence", "source"}) licence.text(key);
        licence.maybe_text("url");
        licence.done();
    }
}

Manifest read_manifest(const Json& value) {
    Fields fields(value, "");
    Manifest manifest;
    fields.integer("schema", kSchema, kSchema);
    fields.maybe_text("needs");
    manifest.name = fields.text("name");
    manifest.version = fields.text("version");
    fields.text("created");
    fields.text("licence");
    for (const auto& [role, graph] : as_object(fields.need("graphs"), "graphs")) {
        manifest.graphs.push_back(read_graph(role, graph));
    }
    for (const auto& [name, entry] : as_object(fields.need("files"), "files")) {
        Fields file(entry, "files." + name);
        manifest.files[name] = read_file(file);
        file.done();
    }
    manifest.video = read_video(fields.need("video"));
    manifest.text = read_text(fields.need("text"));
    Fields embedding(fields.need("embedding"), "embedding");
    manifest.embedding_width = static_cast<int>(embedding.integer("width", 1, kCount));
    embedding.done();
    if (const Json* prompts = fields.may("prompts")) read_prompts(*prompts, manifest);
    if (const Json* confidence = fields.may("confidence", true)) manifest.confidence = read_confidence(*confidence);
    read_licences(fields);
    for (const char* key : {"provenance", "figures"}) {
        if (const Json* given = fields.may(key)) as_object(*given, key);
    }
    fields.done();
    return manifest;
}

const TensorSpec* named(const std::vector<TensorSpec>& tensors, std::string_view name) {
    const auto found = std::find_if(tensors.begin(), tensors.end(), [name](const auto& t) { return t.name == name; });
    return found == tensors.end() ? nullptr : &*found;
}

}  // namespace

const TensorSpec* GraphEntry::input(std::string_view name) const { return named(inputs, name); }

const TensorSpec* GraphEntry::output(std::string_view name) const { return named(outputs, name); }

double Calibrator::probability(double number) const {
    if (is_logistic) return 1.0 / (1.0 + std::exp(-(slope * number + offset)));
    if (number <= knots.front().first) return knots.front().second;
    for (std::size_t i = 1; i < knots.size(); ++i) {
        const auto& [low, less] = knots[i - 1];
        const auto& [high, more] = knots[i];
        if (number < high) return less + (number - low) * (more - less) / (high - low);
    }
    return knots.back().second;
}

const GraphEntry* Manifest::graph(std::string_view role) const {
    const auto found = std::find_if(graphs.begin(), graphs.end(), [role](const auto& g) { return g.role == role; });
    return found == graphs.end() ? nullptr : &*found;
}

std::map<std::string, FileEntry> Manifest::entries() const {
    std::map<std::string, FileEntry> found = files;
    for (const GraphEntry& graph : graphs) found[graph.file] = graph.entry;
    return found;
}

Manifest parse_manifest(std::string_view text) {
    Json value;
    try {
        value = parse_json(text);
    } catch (const std::runtime_error& error) {
        refuse("", std::string("is not valid JSON (") + error.what() + ")");
    }
    if (value.object() != nullptr) check_version(value);
    Manifest manifest = read_manifest(value);
    check_manifest(manifest);
    return manifest;
}

}  // namespace vljepa
