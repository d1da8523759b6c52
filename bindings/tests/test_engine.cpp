// What every engine of this build promises, on graphs of the default model.

#include "vljepa/engine.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "vljepa/bundle.hpp"
#include "vljepa/error.hpp"

namespace {

thread_local std::size_t refused = 0;  // bytes; the next time that this thread wants so many there is no memory

void* take(std::size_t size) {
    const bool is_refused = size > 0 && size == refused;
    if (is_refused) refused = 0;
    void* memory = is_refused ? nullptr : std::malloc(size == 0 ? 1 : size);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}

}  // namespace

void* operator new(std::size_t size) { return take(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using vljepa::DataType;
using vljepa::EngineError;
using vljepa::Input;
using vljepa::Outputs;

// The message of the error that running a graph ends in.
std::string refusal(vljepa::Graph& graph, const std::vector<Input>& inputs) {
    Outputs outputs{{"query_tokens", {}}};
    try {
        graph.run(inputs, outputs);
    } catch (const EngineError& error) {
        return error.what();
    }
    return "";
}

void check_engine(const std::string& name, const vljepa::Bundle& bundle) {
    const auto engine = vljepa::open_engine(name, 1, vljepa::Precision::automatic);
    CHECK_THROWS(engine->compile("no graph", "broken"), EngineError);
    std::map<std::string, std::shared_ptr<vljepa::Graph>> graphs;
    for (const vljepa::GraphEntry& entry : bundle.manifest().graphs) {
        if (entry.role == "query" || entry.role == "x_encoder_motion") {
            graphs[entry.role] = engine->compile(bundle.read(entry.file), entry.role);
        }
    }

    // A graph whose outputs' shapes follow its inputs'.
    vljepa::Graph& query = *graphs.at("query");
    const std::vector<std::int64_t> ids{101, 2054, 2003, 6230, 102};
    const std::vector<std::int64_t> mask(ids.size(), 1);
    const auto given = [&](std::int64_t length) {
        return std::vector<Input>{{"input_ids", DataType::i64, {1, length}, ids.data()},
                                  {"attention_mask", DataType::i64, {1, length}, mask.data()}};
    };
    for (const std::int64_t length : {5, 3, 1, 5}) {
        Outputs outputs{{"query_tokens", {}}};
        query.run(given(length), outputs);
        const vljepa::Output& tokens = outputs.begin()->second;
        CHECK(tokens.type == DataType::f32 && tokens.shape.size() == 3 && tokens.shape[1] == length);
        CHECK(tokens.bytes.size() == 4 * tokens.count());
    }

    // What does not fit is refused by the names of graph and input, and the graph goes on.
    const Input first = given(5)[0];
    const Input wrong_type{first.name, DataType::f32, first.shape, first.data};
    const Input wrong_shape{first.name, DataType::i64, {5}, first.data};
    CHECK(refusal(query, {given(5)[1]}).rfind("query: input input_ids is missing; expected int64 [", 0) == 0);
    CHECK(refusal(query, {wrong_type, given(5)[1]}).rfind("query: input input_ids is float32 [1, 5]; expected int64", 0) == 0);
    CHECK(refusal(query, {wrong_shape, given(5)[1]}).rfind("query: input input_ids is int64 [5]; expected int64", 0) == 0);
    CHECK(refusal(query, given(5)).empty());

    // Outputs of a fixed shape are written where the caller keeps them. Many threads get what one gets.
    vljepa::Graph& motion = *graphs.at("x_encoder_motion");
    const std::vector<float> luma = random_units(8 * 56, 56, 0);
    const std::vector<Input> inputs{{"luma", DataType::f32, {1, 8, 56, 56}, luma.data()}};
    Outputs expected{{"motion", {}}};
    motion.run(inputs, expected);
    const std::byte* const place = expected.begin()->second.bytes.data();
    const std::vector<std::byte> once = expected.begin()->second.bytes;
    motion.run(inputs, expected);
    CHECK(expected.begin()->second.bytes.data() == place && expected.begin()->second.bytes == once);
    std::vector<std::thread> threads;
    std::vector<int> same(4);
    for (int& one : same) {
        threads.emplace_back([&] {
            Outputs outputs{{"motion", {}}};
            for (int i = 0; i < 20; ++i) {
                motion.run(inputs, outputs);
                one += outputs.begin()->second.bytes == once;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(same == std::vector<int>(4, 20));

    // Where there is no memory for an output the run fails, what an earlier run was given stays as it is, and the graph goes on.
    std::vector<std::byte>& earlier = expected.begin()->second.bytes;
    motion.run(inputs, expected);
    std::fill(earlier.begin(), earlier.end(), std::byte{0x5A});
    Outputs outputs{{"motion", {}}};
    refused = earlier.size();
    CHECK_THROWS(motion.run(inputs, outputs), std::exception);
    CHECK(refused == 0 && earlier == std::vector<std::byte>(earlier.size(), std::byte{0x5A}));
    motion.run(inputs, outputs);
    CHECK(outputs.begin()->second.bytes == once);
}

}  // namespace

int main() {
    CHECK_THROWS(vljepa::open_engine("cuda", 1, vljepa::Precision::automatic), vljepa::InputError);
    CHECK_THROWS(vljepa::open_engine("openvino", -1, vljepa::Precision::automatic), vljepa::InputError);
    const vljepa::Bundle bundle = vljepa::Bundle::open(MODEL);
    int tried = 0;
    for (const char* const name : {"openvino", "onnxruntime"}) {
        try {
            vljepa::open_engine(name, 1, vljepa::Precision::automatic);
        } catch (const EngineError& error) {  // this build is without it
            CHECK(std::strstr(error.what(), "was built without") != nullptr);
            continue;
        }
        check_engine(name, bundle);
        ++tried;
    }
    CHECK(tried > 0);
}
