#include "text/texts.hpp"

#include <algorithm>
#include <cmath>

#include "vljepa/error.hpp"

namespace vljepa {

namespace {

std::string not_finite(const std::string& graph, const std::string& what) {
    return graph + ": the " + what + " not finite; its numbers overflow at this precision, try f32, or with TensorRT: " +
           "vljepa build --f32 " + graph;
}

// Runs a graph that takes token ids, one text.
void run_ids(Graph& graph, const TokenIds& ids, Outputs& outputs) {
    TokenIds given = ids;
    TokenIds mask(ids.size(), 1);
    if (given.empty()) {  // a graph takes at least one place; what is masked has id 0
        given.push_back(0);
        mask.push_back(0);
    }
    const Shape shape{1, static_cast<std::int64_t>(given.size())};
    graph.run({{"input_ids", DataType::i64, shape, given.data()}, {"attention_mask", DataType::i64, shape, mask.data()}},
              outputs);
}

}  // namespace

void unit(const std::string& graph, const float* embedding, std::size_t width, float* scaled) {
    double squares = 0.0;
    for (std::size_t i = 0; i < width; ++i) {
        if (!std::isfinite(embedding[i])) throw EngineError(not_finite(graph, "embedding is"));
        squares += static_cast<double>(embedding[i]) * static_cast<double>(embedding[i]);
    }
    if (squares == 0.0) {
        throw EngineError(graph + ": the embedding is zero, so it has no direction; its numbers underflow, or the model is "
                                  "broken");
    }
    const double norm = std::sqrt(squares);
    for (std::size_t i = 0; i < width; ++i) scaled[i] = static_cast<float>(static_cast<double>(embedding[i]) / norm);
}

Texts::Texts(const Bundle& bundle, std::shared_ptr<Graph> query, std::shared_ptr<Graph> encoder,
             std::shared_ptr<Graph> decoder)
    : bundle_(bundle),
      manifest_(bundle.manifest()),
      query_(std::move(query)),
      encoder_(std::move(encoder)),
      decoder_(std::move(decoder)),
      detokenizer_(manifest_.text.decoder_tokenizer, bundle.read(manifest_.text.decoder_tokenizer)) {
    if (!manifest_.confidence) return;
    if (manifest_.confidence->caption || manifest_.confidence->answer) target_tokenizer();  // each decoded text needs it
    if (manifest_.confidence->general) read_general();
}

const Tokenizer& Texts::target_tokenizer() const {
    std::call_once(target_once_, [this] {
        const std::string& file = manifest_.text.target_tokenizer;
        target_tokenizer_ = std::make_unique<Tokenizer>(file, bundle_.read(file), manifest_.text.target_tokens);
    });
    return *target_tokenizer_;
}

Query Texts::query(const std::string& text) const {
    std::call_once(query_once_, [this] {
        const std::string& file = manifest_.text.query_tokenizer;
        query_tokenizer_ = std::make_unique<Tokenizer>(file, bundle_.read(file), manifest_.text.query_tokens);
    });
    const std::size_t count = query_tokenizer_->count(text);
    const std::size_t most = static_cast<std::size_t>(manifest_.text.query_tokens);
    if (count > most) {
        throw InputError("query must have at most " + std::to_string(most) + " tokens, got " + std::to_string(count));
    }
    const TokenIds ids = query_tokenizer_->encode(text);
    Outputs outputs{{"query_tokens", {}}};
    run_ids(*query_, ids, outputs);
    const Output& tokens = outputs.begin()->second;
    Query query;
    query.text = text;
    query.tokens.assign(tokens.floats(), tokens.floats() + tokens.count());
    query.width = tokens.shape.back();
    if (!std::all_of(query.tokens.begin(), query.tokens.end(), [](float x) { return std::isfinite(x); })) {
        throw EngineError(not_finite("query", "embedding is"));
    }
    const bool has_none = ids.empty() || (text.empty() && manifest_.text.empty_query_has_no_token);
    query.mask.assign(std::max<std::size_t>(ids.size(), 1), has_none ? 0 : 1);
    return query;
}

std::vector<float> Texts::embed(const std::string& text) const {
    if (text.find_first_not_of(" \t\r\n") == std::string::npos) throw InputError("a text must not be empty");
    Outputs outputs{{"embedding", {}}};
    run_ids(*encoder_, target_tokenizer().encode(manifest_.text.target_prompt + text), outputs);
    std::vector<float> scaled(static_cast<std::size_t>(manifest_.embedding_width));
    unit("y_encoder", outputs.begin()->second.floats(), scaled.size(), scaled.data());
    return scaled;
}

std::string Texts::decode(const std::vector<float>& embedding) const { return detokenizer_.decode(greedy(embedding)); }

TokenIds Texts::greedy(const std::vector<float>& embedding) const {
    const GraphEntry& entry = *manifest_.graph("y_decoder");
    const TensorSpec* past = entry.input("past");
    TokenIds given{manifest_.text.decoder_start};
    Output cache;
    if (past != nullptr) cache.reshape(DataType::f32, {1, past->shape[1], 0, past->shape[3]});
    cache.bytes.reserve(1);  // an engine wants an address of nothing, too
    TokenIds said;
    while (said.size() < static_cast<std::size_t>(manifest_.text.decoder_tokens)) {
        std::vector<Input> inputs{
            {"embedding", DataType::f32, {1, manifest_.embedding_width}, embedding.data()},
            {"ids", DataType::i64, {1, static_cast<std::int64_t>(given.size())}, given.data()}};
        if (past != nullptr) inputs.push_back({"past", DataType::f32, cache.shape, cache.bytes.data()});
        Outputs outputs{{"logits", {}}};
        if (past != nullptr) outputs.emplace("present", Output{});
        decoder_->run(inputs, outputs);
        const Output& logits = outputs.find("logits")->second;
        const float* first = logits.floats();
        const float* last = first + logits.count();
        const float* likeliest = std::max_element(first, last);
        const float* nan = std::find_if(first, last, [](float x) { return std::isnan(x); });
        if (nan != last || !std::isfinite(*likeliest)) throw EngineError(not_finite("y_decoder", "logits are"));
        const std::int64_t token = likeliest - first;
        if (token == manifest_.text.decoder_end) break;
        said.push_back(token);
        if (past == nullptr) {
            given.push_back(token);
        } else {
            given.assign(1, token);
            cache = std::move(outputs.find("present")->second);
        }
    }
    return said;
}

}  // namespace vljepa
