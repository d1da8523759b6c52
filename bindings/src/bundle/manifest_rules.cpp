#include "bundle/manifest_rules.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>

#include "bundle/fields.hpp"
#include "bundle/versions.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

namespace {

using Shape = std::vector<std::int64_t>;
struct Expected {
    Shape shape;
    DataType type = DataType::f32;
};
using Tensors = std::vector<std::pair<std::string, Expected>>;  // in the order in which messages name them

constexpr std::int64_t kMostPixels = std::int64_t{1} << 30;  // of a window
constexpr std::string_view kEncoder = "x_encoder_";
constexpr std::array<const char*, 4> kRoles{"query", "predictor", "y_encoder", "y_decoder"};

bool starts_with(std::string_view text, std::string_view with) { return text.substr(0, with.size()) == with; }

bool ends_with(std::string_view text, std::string_view with) {
    return text.size() >= with.size() && text.substr(text.size() - with.size()) == with;
}

bool is_encoder(const GraphEntry& graph) { return starts_with(graph.role, kEncoder); }

std::string shown(const Shape& shape, DataType type) {
    static const std::array<const char*, 3> kTypes{"uint8", "int64", "float32"};
    std::string text = std::string(kTypes[static_cast<std::size_t>(type)]) + " [";
    for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
    return text + "]";
}

bool fits(const Shape& given, const Shape& wanted) {
    if (given.size() != wanted.size()) return false;
    for (std::size_t i = 0; i < given.size(); ++i) {
        if (given[i] != wanted[i] && given[i] != -1 && wanted[i] != -1) return false;
    }
    return true;
}

enum class Rule { all, some, all_and_others };

// `given` are tensors of `allowed`.
void expect(const std::string& role, const std::vector<TensorSpec>& given, const Tensors& allowed, Rule rule) {
    const std::string where = "graphs." + role;
    std::set<std::string> names;
    for (const TensorSpec& tensor : given) {
        if (!names.insert(tensor.name).second) refuse(where, "a name occurs twice in its tensors: " + tensor.name);
    }
    std::string known;
    for (const auto& [name, expected] : allowed) {
        known += (known.empty() ? "" : ", ") + name;
        if (rule != Rule::some && names.count(name) == 0) refuse(where, name + " missing");
    }
    for (const TensorSpec& tensor : given) {
        const auto place = std::find_if(allowed.begin(), allowed.end(),
                                        [&](const auto& item) { return item.first == tensor.name; });
        if (place == allowed.end()) {
            if (rule == Rule::all_and_others) continue;
            refuse(where, "a tensor must be one of " + known + ", got " + tensor.name);
        }
        const Expected& wanted = place->second;
        if (!fits(tensor.shape, wanted.shape) || tensor.type != wanted.type) {
            refuse(where + "." + tensor.name, shown(tensor.shape, tensor.type) + " does not fit; expected " +
                                                  shown(wanted.shape, wanted.type));
        }
    }
}

void check_roles(const Manifest& manifest) {
    std::string missing;
    for (const char* role : kRoles) {
        if (manifest.graph(role) == nullptr) missing += (missing.empty() ? "" : ", ") + std::string(role);
    }
    if (std::none_of(manifest.graphs.begin(), manifest.graphs.end(), is_encoder)) {
        missing += (missing.empty() ? "" : ", ") + std::string(kEncoder) + "*";
    }
    if (!missing.empty()) refuse("graphs", missing + " missing");
    static const std::map<std::string, Unit> kUnits{
        {"query", Unit::text}, {"y_encoder", Unit::text}, {"y_decoder", Unit::step}, {"predictor", Unit::clip}};
    for (const GraphEntry& graph : manifest.graphs) {
        const auto unit = kUnits.find(graph.role);
        if (is_encoder(graph)) {
            if (graph.unit == Unit::frame || graph.unit == Unit::clip) continue;
            refuse("graphs." + graph.role + ".unit", "must be frame or clip");
        }
        if (unit == kUnits.end()) {
            refuse("graphs." + graph.role,
                   "a role must be one of x_encoder_*, query, predictor, y_encoder, y_decoder");
        }
        if (graph.unit != unit->second) refuse("graphs." + graph.role + ".unit", "must be that of its role");
    }
}

bool is_allowed(const std::string& name) {
    const auto within = [&](std::string_view folder, std::string_view ending) {
        return starts_with(name, folder) && ends_with(name, ending) && name.size() > folder.size() + ending.size();
    };
    if (within("graphs/", ".onnx") || within("tokenizers/", ".json")) return true;
    if (within("texts/", ".txt") || within("texts/", ".npy")) return true;
    if (within("checkpoint/", ".safetensors") || within("checkpoint/", ".json")) return true;
    if (name == "NOTICE" || name == "LICENSE") return true;
    return name.find('/') == std::string::npos && (within("", ".md") || within("", ".txt"));
}

void check_files(const Manifest& manifest) {
    for (const GraphEntry& graph : manifest.graphs) {
        if (manifest.files.count(graph.file) != 0) {
            refuse("files", graph.file + " is a graph (" + graph.role + ") and must be named under graphs only");
        }
        const auto first = std::find_if(manifest.graphs.begin(), manifest.graphs.end(),
                                        [&](const GraphEntry& other) { return other.file == graph.file; });
        if (first->entry.sha256 != graph.entry.sha256 || first->entry.bytes != graph.entry.bytes) {
            refuse("graphs." + graph.role, graph.file + " has two different hashes or sizes");
        }
    }
    std::map<std::string, std::string> seen;
    for (const auto& [name, entry] : manifest.entries()) {
        check_file_name(name, kManifestFile);
        if (!is_allowed(name) || starts_with(name, "graphs/") != (manifest.files.count(name) == 0)) {
            throw BundleError(name,
                              "is not a file that a bundle may hold; allowed are graphs/*.onnx, tokenizers/*.json, "
                              "texts/*.txt or .npy, checkpoint/*.safetensors or .json, NOTICE, LICENSE, *.md, *.txt");
        }
        std::string lower = name;
        for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        const auto [place, is_new] = seen.emplace(lower, name);
        if (!is_new) refuse("files", name + " and " + place->second + " differ in case only");
    }
    const auto must_be_listed = [&](const std::string& where, const std::string& name) {
        if (manifest.files.count(name) == 0) refuse(where, name + " is not among files");
    };
    must_be_listed("text.query_tokenizer", manifest.text.query_tokenizer);
    must_be_listed("text.target_tokenizer", manifest.text.target_tokenizer);
    must_be_listed("text.decoder_tokenizer", manifest.text.decoder_tokenizer);
    if (manifest.confidence && manifest.confidence->general) {
        must_be_listed("confidence.general.texts", manifest.confidence->general->texts);
        must_be_listed("confidence.general.embeddings", manifest.confidence->general->embeddings);
    }
}

// Adds the outputs of an X-encoder graph, as they are or stacked over the window.
void add_outputs(const GraphEntry& graph, std::int64_t window, Tensors& to, const Tensors& beside) {
    for (const TensorSpec& tensor : graph.outputs) {
        const auto is_same = [&](const auto& item) { return item.first == tensor.name; };
        if (std::any_of(to.begin(), to.end(), is_same) || std::any_of(beside.begin(), beside.end(), is_same)) {
            refuse("graphs." + graph.role, "two X-encoder graphs have an output " + tensor.name);
        }
        if (tensor.shape.empty() || tensor.type != DataType::f32) {
            refuse("graphs." + graph.role, "output " + tensor.name + " must be float32 [1, ...]");
        }
        Shape shape = tensor.shape;
        if (window > 0) shape.insert(shape.begin() + 1, window);
        to.emplace_back(tensor.name, Expected{shape, DataType::f32});
    }
}

// Frame graphs take the frame, clip graphs take frames or frame features, the predictor takes what those give.
void check_vision(const Manifest& manifest) {
    const VideoEntry& video = manifest.video;
    const std::int64_t pixels = std::int64_t{video.window} * video.width * video.height;
    if (pixels > kMostPixels) {
        refuse("video", "a window of " + std::to_string(pixels) + " pixels is too large; a window has at most " +
                            std::to_string(kMostPixels));
    }
    const Expected frame{{1, video.height, video.width, 3}, DataType::u8};
    const Expected frames{{1, video.window, video.height, video.width, 3}, DataType::u8};
    Tensors stacked;
    for (const GraphEntry& graph : manifest.graphs) {
        if (!is_encoder(graph) || graph.unit != Unit::frame) continue;
        expect(graph.role, graph.inputs, {{"frame", frame}}, Rule::all);
        add_outputs(graph, video.window, stacked, {});
    }
    Tensors taken = stacked;
    taken.emplace_back("frames", frames);
    Tensors windowed;
    for (const GraphEntry& graph : manifest.graphs) {
        if (!is_encoder(graph) || graph.unit != Unit::clip) continue;
        expect(graph.role, graph.inputs, taken, Rule::some);
        add_outputs(graph, 0, windowed, stacked);
    }
    const TensorSpec* query = manifest.graph("query")->output("query_tokens");
    const std::int64_t width = query != nullptr && !query->shape.empty() ? query->shape.back() : -1;
    Tensors allowed = stacked;
    allowed.insert(allowed.end(), windowed.begin(), windowed.end());
    allowed.emplace_back("query_tokens", Expected{{1, -1, width}, DataType::f32});
    allowed.emplace_back("query_mask", Expected{{1, -1}, DataType::i64});
    const GraphEntry& predictor = *manifest.graph("predictor");
    expect("predictor", predictor.inputs, allowed, Rule::some);
    expect("predictor", predictor.outputs, {{"embedding", {{1, manifest.embedding_width}, DataType::f32}}},
           Rule::all_and_others);
}

// Either all of the text goes in at each step, or the latest tokens and a cache, `past`, that comes out longer.
void check_decoder(const GraphEntry& graph, std::int64_t width) {
    Tensors inputs{{"embedding", {{1, width}, DataType::f32}}, {"ids", {{1, -1}, DataType::i64}}};
    Tensors outputs{{"logits", {{1, -1}, DataType::f32}}};
    if (const TensorSpec* past = graph.input("past")) {
        const Shape& shape = past->shape;
        if (shape.size() != 4 || shape[2] != -1 || std::min(shape[1], shape[3]) < 1) {
            refuse("graphs.y_decoder.past",
                   shown(shape, past->type) + " does not fit; expected [1, rows, -1, head size]");
        }
        const Expected cache{{1, shape[1], -1, shape[3]}, DataType::f32};
        inputs.emplace_back("past", cache);
        outputs.emplace_back("present", cache);
    }
    expect("y_decoder", graph.inputs, inputs, Rule::all);
    expect("y_decoder", graph.outputs, outputs, Rule::all_and_others);
}

void check_text(const Manifest& manifest) {
    const Tensors ids{{"input_ids", {{-1, -1}, DataType::i64}}, {"attention_mask", {{-1, -1}, DataType::i64}}};
    if (manifest.text.empty_query_has_no_token && manifest.graph("predictor")->input("query_mask") == nullptr) {
        refuse("text.empty_query", "'none' needs a predictor with a query_mask, which marks every token as none");
    }
    const GraphEntry& query = *manifest.graph("query");
    expect("query", query.inputs, ids, Rule::all);
    expect("query", query.outputs, {{"query_tokens", {{-1, -1, -1}, DataType::f32}}}, Rule::all_and_others);
    const GraphEntry& encoder = *manifest.graph("y_encoder");
    expect("y_encoder", encoder.inputs, ids, Rule::all);
    expect("y_encoder", encoder.outputs, {{"embedding", {{-1, manifest.embedding_width}, DataType::f32}}},
           Rule::all_and_others);
    const GraphEntry& decoder = *manifest.graph("y_decoder");
    check_decoder(decoder, manifest.embedding_width);
    const TensorSpec* logits = decoder.output("logits");
    const std::int64_t vocabulary = logits->shape.back();
    const std::array<std::pair<const char*, std::int64_t>, 2> tokens{
        {{"decoder_start", manifest.text.decoder_start}, {"decoder_end", manifest.text.decoder_end}}};
    for (const auto& [field, token] : tokens) {
        if (vocabulary >= 0 && token >= vocabulary) {
            refuse(std::string("text.") + field, "must be below " + std::to_string(vocabulary) +
                                                     ", the width of the logits, got " + std::to_string(token));
        }
    }
}

}  // namespace

void check_file_name(const std::string& name, const std::string& where) {
    const auto is_word = [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    };
    bool valid = !name.empty() && name.size() <= 200;
    bool at_start = true;  // of a part between slashes, which begins with no dot, so that none is ".."
    for (const char c : name) {
        valid = valid && (is_word(c) || (!at_start && (c == '.' || c == '-' || c == '/')));
        at_start = c == '/';
    }
    if (!valid || at_start) {
        throw BundleError(name.empty() ? "(empty name)" : name,
                          where + ": a file name must be relative, of letters, digits, _ . - and /");
    }
}

void check_manifest(const Manifest& manifest) {
    check_roles(manifest);
    check_files(manifest);
    check_vision(manifest);
    check_text(manifest);
}

}  // namespace vljepa
