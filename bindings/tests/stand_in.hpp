#pragma once

// A bundle of a few bytes and an engine that plays its graphs, for tests that need no model but one that is slow, or fails.
// Its embedding is the mean colour of the window's newest frame beside the query's first token, and its one word the colour.
// Of texts it knows the three colours: the tokens of a query are zeros, and a text's embedding is the colour that it names.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bundle/sha256.hpp"
#include "vljepa/engine.hpp"
#include "vljepa/error.hpp"
#include "vljepa/model.hpp"
#include "vljepa/pixels.hpp"

namespace stand_in {

constexpr int kSide = 8;
constexpr int kWindow = 4;
constexpr double kFps = 20.0;

/// What the graphs do. `inside` is set while one runs, on its thread.
struct Behaviour {
    std::atomic<int> encode_ms{0};
    std::atomic<int> predict_ms{0};
    std::atomic<int> decode_ms{0};
    std::atomic<bool> encode_fails{false};
    std::atomic<bool> decode_fails{false};
    static inline thread_local bool inside = false;
};

inline std::string sha256(const std::string& bytes) {
    vljepa::Sha256 hash;
    hash.add(bytes.data(), bytes.size());
    return hash.hex();
}

/// Writes the bundle's folder.
inline void write_bundle(const std::filesystem::path& folder) {
    const std::string onnx("\x08\x0a\x3a\x00", 4);  // a version, and a graph without anything
    const std::string tokenizer =
        R"({"added_tokens": [{"id": 0, "content": "<s>", "special": true}, {"id": 1, "content": "</s>", "special": true}],)"
        R"( "decoder": null, "model": {"type": "WordLevel", "vocab": {"<s>": 0, "</s>": 1, "red": 2, "green": 3, "blue": 4}}})";
    const std::string colours_only =
        R"({"model": {"type": "WordPiece", "unk_token": "?", "vocab": {"?": 3, "red": 0, "green": 1, "blue": 2}},)"
        R"( "pre_tokenizer": {"type": "BertPreTokenizer"}, "normalizer": {"type": "Lowercase"}})";
    const auto entry = [](const std::string& bytes) {
        return "\"sha256\": \"" + sha256(bytes) + "\", \"bytes\": " + std::to_string(bytes.size());
    };
    std::string graphs;
    const auto graph = [&](const std::string& role, const std::string& unit, const std::string& inputs, const std::string& outputs) {
        graphs += (graphs.empty() ? "\"" : ", \"") + role + "\": {\"file\": \"graphs/" + role + ".onnx\", \"unit\": \"" + unit +
                  "\", \"inputs\": [" + inputs + "], \"outputs\": [" + outputs + "], " + entry(onnx) + "}";
    };
    const auto tensor = [](const std::string& name, const std::string& shape, const std::string& type) {
        return "{\"name\": \"" + name + "\", \"shape\": [" + shape + "], \"dtype\": \"" + type + "\"}";
    };
    const std::string side = std::to_string(kSide);
    const std::string ids = tensor("input_ids", "-1, -1", "int64") + ", " + tensor("attention_mask", "-1, -1", "int64");
    const std::string colours = tensor("colours", "1, " + std::to_string(kWindow) + ", 3", "float32");
    graph("x_encoder_colour", "frame", tensor("frame", "1, " + side + ", " + side + ", 3", "uint8"), tensor("colours", "1, 3", "float32"));
    graph("query", "text", ids, tensor("query_tokens", "-1, -1, 1", "float32"));
    graph("y_encoder", "text", ids, tensor("embedding", "-1, 4", "float32"));
    graph("predictor", "clip", colours + ", " + tensor("query_tokens", "1, -1, 1", "float32") + ", " + tensor("query_mask", "1, -1", "int64"),
          tensor("embedding", "1, 4", "float32"));
    graph("y_decoder", "step", tensor("embedding", "1, 4", "float32") + ", " + tensor("ids", "1, -1", "int64"),
          tensor("logits", "1, 5", "float32"));
    const std::string manifest =
        "{\"schema\": 1, \"created\": \"2026-01-01T00:00:00+00:00\", \"name\": \"stand-in\", \"version\": \"0\", \"licence\": "
        "\"Apache-2.0\", \"graphs\": {" + graphs + "}, \"video\": {\"width\": " + side + ", \"height\": " + side +
        ", \"resize\": \"cover\", \"fps\": " + std::to_string(static_cast<int>(kFps)) + ", \"window\": " + std::to_string(kWindow) +
        ", \"hop\": 1}, \"text\": {\"query_tokenizer\": \"tokenizers/colours.json\", \"target_tokenizer\": "
        "\"tokenizers/colours.json\", \"decoder_tokenizer\": \"tokenizers/words.json\", \"query_tokens\": 8, \"target_tokens\": 8, "
        "\"decoder_tokens\": 8, \"decoder_start\": 0, \"decoder_end\": 1, \"default_query\": \"What?\"}, \"embedding\": "
        "{\"width\": 4}, \"licences\": [], \"files\": {\"tokenizers/words.json\": {" + entry(tokenizer) +
        "}, \"tokenizers/colours.json\": {" + entry(colours_only) + "}}}";
    std::filesystem::create_directories(folder / "graphs");
    std::filesystem::create_directories(folder / "tokenizers");
    const auto write = [&](const std::string& name, const std::string& bytes) {
        std::ofstream(folder / name, std::ios::binary) << bytes;
    };
    for (const char* role : {"x_encoder_colour", "query", "y_encoder", "predictor", "y_decoder"}) {
        write(std::string("graphs/") + role + ".onnx", onnx);
    }
    write("tokenizers/words.json", tokenizer);
    write("tokenizers/colours.json", colours_only);
    write("manifest.json", manifest);
}

class StandInGraph final : public vljepa::Graph {
  public:
    StandInGraph(std::string name, Behaviour& behaviour) : name_(std::move(name)), behaviour_(behaviour) {
        const bool is_text = name_ == "query" || name_ == "y_encoder";
        if (name_ == "x_encoder_colour") inputs_ = {"frame"};
        else if (is_text) inputs_ = {"input_ids", "attention_mask"};
        else if (name_ == "predictor") inputs_ = {"colours", "query_tokens", "query_mask"};
        else inputs_ = {"embedding", "ids"};
        outputs_ = {name_ == "x_encoder_colour" ? "colours" : name_ == "query" ? "query_tokens" : name_ == "y_decoder" ? "logits" : "embedding"};
    }

    const std::vector<std::string>& inputs() const override { return inputs_; }
    const std::vector<std::string>& outputs() const override { return outputs_; }

    void run(const std::vector<vljepa::Input>& inputs, vljepa::Outputs& outputs) override {
        const Inside inside;
        vljepa::Output& out = outputs.find(outputs_.front())->second;
        if (name_ == "x_encoder_colour") {
            nap(behaviour_.encode_ms);
            if (behaviour_.encode_fails) throw vljepa::EngineError("x_encoder_colour: it was told to fail");
            out.reshape(vljepa::DataType::f32, {1, 3});
            const auto* pixels = static_cast<const std::uint8_t*>(inputs.front().data);
            float sums[3] = {};
            for (int i = 0; i < 3 * kSide * kSide; ++i) sums[i % 3] += static_cast<float>(pixels[i]) / (255.0F * kSide * kSide);
            write(out, {sums[0], sums[1], sums[2]});
        } else if (name_ == "predictor") {
            nap(behaviour_.predict_ms);
            out.reshape(vljepa::DataType::f32, {1, 4});
            const float* newest = static_cast<const float*>(inputs[0].data) + 3 * (kWindow - 1);
            write(out, {newest[0], newest[1], newest[2], 0.1F + static_cast<const float*>(inputs[1].data)[0]});
        } else if (name_ == "y_decoder") {
            nap(behaviour_.decode_ms);
            if (behaviour_.decode_fails) throw vljepa::EngineError("y_decoder: it was told to fail");
            out.reshape(vljepa::DataType::f32, {1, 5});
            const auto* embedding = static_cast<const float*>(inputs[0].data);
            const float end = inputs[1].shape[1] > 1 ? 9.0F : -9.0F;
            write(out, {-9.0F, end, embedding[0], embedding[1], embedding[2]});
        } else if (name_ == "query") {
            out.reshape(vljepa::DataType::f32, {1, inputs[0].shape[1], 1});
            std::fill(out.bytes.begin(), out.bytes.end(), std::byte{0});
        } else {
            out.reshape(vljepa::DataType::f32, {1, 4});
            const auto* ids = static_cast<const std::int64_t*>(inputs[0].data);
            std::vector<float> embedding(4);
            embedding[static_cast<std::size_t>(*std::min_element(ids, ids + inputs[0].shape[1]))] = 1.0F;
            write(out, embedding);
        }
    }

  private:
    struct Inside {
        Inside() { Behaviour::inside = true; }
        ~Inside() { Behaviour::inside = false; }
    };

    static void nap(int ms) {
        if (ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    }

    static void write(vljepa::Output& out, const std::vector<float>& numbers) {
        std::copy(numbers.begin(), numbers.end(), reinterpret_cast<float*>(out.bytes.data()));
    }

    std::string name_;
    Behaviour& behaviour_;
    std::vector<std::string> inputs_;
    std::vector<std::string> outputs_;
};

class StandInEngine final : public vljepa::Engine {
  public:
    explicit StandInEngine(Behaviour& behaviour) : behaviour_(behaviour) {}

    std::unique_ptr<vljepa::Graph> compile(const std::string&, const std::string& name) override {
        return std::make_unique<StandInGraph>(name, behaviour_);
    }

  private:
    Behaviour& behaviour_;
};

/// The model, whose graphs do as `behaviour` says, which outlives it.
inline std::shared_ptr<const vljepa::Model> load(Behaviour& behaviour) {
    const auto folder = std::filesystem::temp_directory_path() /
                        ("vljepa-stand-in-" + std::to_string(std::chrono::steady_clock::now().time_since_epoch().count()));
    write_bundle(folder);
    StandInEngine engine(behaviour);
    auto model = vljepa::Model::load(folder.string(), engine);
    const vljepa::Model* held = model.get();
    return {held, [model = std::move(model), folder](const vljepa::Model*) mutable {  // it reads tokenizers when asked
                model.reset();
                std::filesystem::remove_all(folder);
            }};
}

/// A query whose only token is `number`.
inline vljepa::Query query(const std::string& text, float number = 0.0F) { return {text, {number}, {1}, 1}; }

/// A frame of one colour.
struct Colour {
    Colour(std::uint8_t red, std::uint8_t green, std::uint8_t blue) : pixels(3 * kSide * kSide) {
        for (std::size_t i = 0; i < pixels.size(); i += 3) {
            pixels[i] = red;
            pixels[i + 1] = green;
            pixels[i + 2] = blue;
        }
    }

    vljepa::Picture picture() const {
        vljepa::Picture found;
        found.width = found.height = kSide;
        found.planes[0] = pixels.data();
        return found;
    }

    std::vector<std::uint8_t> pixels;
};

inline const Colour kRed{255, 0, 0};
inline const Colour kGreen{0, 255, 0};
inline const Colour kBlue{0, 0, 255};

}  // namespace stand_in
