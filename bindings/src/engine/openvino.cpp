// OpenVINO on the CPU. One stream, tuned for latency: a graph runs one call at a time on all its threads.

#include "engine/engines.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>

#include <openvino/openvino.hpp>

#include "engine/ports.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

namespace {

constexpr std::string_view kSink = "/sink_port_0";  // the ONNX frontend calls the node of output `x` `x/sink_port_0`

// The Core of this process. It is never destroyed: a Core gives the thread that makes it another stack for signals, and of
// two that are destroyed in the order in which they were made, the second puts back the freed stack of the first.
ov::Core& shared_core() {
    static ov::Core* const kCore = new ov::Core;
    return *kCore;
}

ov::element::Type type_of(DataType type) {
    return type == DataType::u8 ? ov::element::u8 : type == DataType::i64 ? ov::element::i64 : ov::element::f32;
}

DataType type_of(const ov::element::Type& type, const std::string& graph, const std::string& name) {
    for (const DataType ours : {DataType::u8, DataType::i64, DataType::f32}) {
        if (type_of(ours) == type) return ours;
    }
    throw EngineError(graph + ": " + name + " is of type " + type.get_type_name() + ", which no bundle has");
}

Shape shape_of(const ov::PartialShape& partial) {
    Shape shape;
    for (const ov::Dimension& size : partial) shape.push_back(size.is_static() ? size.get_length() : -1);
    return shape;
}

class OpenVinoGraph final : public Graph {
  public:
    OpenVinoGraph(const std::shared_ptr<ov::Model>& model, ov::CompiledModel compiled, std::string name)
        : name_(std::move(name)), compiled_(std::move(compiled)), request_(compiled_.create_infer_request()) {
        for (const auto& parameter : model->get_parameters()) inputs_.push_back(parameter->get_friendly_name());
        for (const auto& input : compiled_.inputs()) ports_.push_back(port(input, input.get_node()->get_friendly_name()));
        for (std::size_t i = 0; i < model->outputs().size(); ++i) {
            std::string output = model->output(i).get_node()->get_friendly_name();
            if (output.size() > kSink.size() && output.compare(output.size() - kSink.size(), kSink.size(), kSink) == 0) {
                output.resize(output.size() - kSink.size());
            }
            outputs_.push_back(output);
            results_.push_back(port(compiled_.output(i), output));
        }
    }

    const std::vector<std::string>& inputs() const override { return inputs_; }
    const std::vector<std::string>& outputs() const override { return outputs_; }

    void run(const std::vector<Input>& inputs, Outputs& outputs) override {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!is_usable_) throw EngineError(name_ + ": an earlier failure left it unusable; load the model again");
        for (std::size_t i = 0; i < ports_.size(); ++i) {
            const Input& given = checked(name_, ports_[i], inputs);
            // OpenVINO takes no constant pointer; it does not write to inputs.
            request_.set_input_tensor(i, ov::Tensor(type_of(given.type), ov::Shape(given.shape.begin(), given.shape.end()),
                                                    const_cast<void*>(given.data)));
        }
        try {
            bind(outputs);
            request_.infer();
        } catch (const std::exception& error) {
            recover();
            throw EngineError(name_ + ": OpenVINO failed: " + one_line(error.what()));
        }
        for (std::size_t i = 0; i < results_.size(); ++i) {
            const auto wanted = outputs.find(results_[i].name);
            if (wanted == outputs.end() || is_static(results_[i].shape)) continue;
            const ov::Tensor made = request_.get_output_tensor(i);
            const ov::Shape shape = made.get_shape();
            wanted->second.reshape(results_[i].type, Shape(shape.begin(), shape.end()));
            if (made.get_size() > 0) std::memcpy(wanted->second.bytes.data(), made.data(), wanted->second.bytes.size());
        }
    }

  private:
    Port port(const ov::Output<const ov::Node>& output, const std::string& name) const {
        return {name, type_of(output.get_element_type(), name_, name), shape_of(output.get_partial_shape())};
    }

    // Outputs of a fixed shape are written where the caller keeps them.
    void bind(Outputs& outputs) {
        for (std::size_t i = 0; i < results_.size(); ++i) {
            const Port& result = results_[i];
            if (!is_static(result.shape)) continue;
            const auto wanted = outputs.find(result.name);
            Output& place = wanted == outputs.end() ? unwanted_[result.name] : wanted->second;
            place.reshape(result.type, result.shape);
            request_.set_output_tensor(i, ov::Tensor(type_of(result.type),
                                                     ov::Shape(result.shape.begin(), result.shape.end()),
                                                     place.bytes.data()));
        }
    }

    // A run that fails half way leaves shapes behind, and later runs of the same shapes trust them. Runs of two other
    // sizes make every node look at its shapes again; what they write goes to nobody, as an earlier caller's memory may
    // still be bound. Where even those fail, so must later calls.
    void recover() {
        try {
            Outputs none;
            bind(none);
            for (const std::size_t size : {std::size_t{1}, std::size_t{2}}) {
                for (std::size_t i = 0; i < ports_.size(); ++i) {
                    ov::Shape shape;
                    for (const std::int64_t n : ports_[i].shape) shape.push_back(n < 0 ? size : static_cast<std::size_t>(n));
                    ov::Tensor zeros(type_of(ports_[i].type), shape);
                    std::memset(zeros.data(), 0, zeros.get_byte_size());
                    request_.set_input_tensor(i, zeros);
                }
                request_.infer();
            }
        } catch (const std::exception&) {
            is_usable_ = false;
        }
    }

    std::string name_;
    ov::CompiledModel compiled_;
    ov::InferRequest request_;
    std::vector<std::string> inputs_;   // those that no node uses included
    std::vector<std::string> outputs_;
    std::vector<Port> ports_;           // of the inputs that OpenVINO kept
    std::vector<Port> results_;
    Outputs unwanted_;
    std::mutex mutex_;  // there is one stream, so a second request would only wait inside OpenVINO
    bool is_usable_ = true;
};

class OpenVinoEngine final : public Engine {
  public:
    OpenVinoEngine(int threads, const std::string& precision) {
        config_ = {{"PERFORMANCE_HINT", "LATENCY"},
                   {"NUM_STREAMS", "1"},
                   {"INFERENCE_PRECISION_HINT", precision},
                   {"ENABLE_CPU_PINNING", false}};  // pinned threads of several graphs would be pinned to the same cores
        if (threads > 0) config_["INFERENCE_NUM_THREADS"] = threads;
    }

    std::unique_ptr<Graph> compile(const std::string& model, const std::string& name) override {
        try {
            const std::shared_ptr<ov::Model> network = shared_core().read_model(model, ov::Tensor());
            return std::make_unique<OpenVinoGraph>(network, shared_core().compile_model(network, "CPU", config_), name);
        } catch (const EngineError&) {
            throw;
        } catch (const std::exception& error) {
            throw EngineError(name + ": OpenVINO can't compile it: " + one_line(error.what()));
        }
    }

  private:
    ov::AnyMap config_;
};

}  // namespace

std::unique_ptr<Engine> open_openvino(int threads, Precision precision) {
    std::vector<std::string> capabilities;
    try {
        capabilities = shared_core().get_property("CPU", ov::device::capabilities);
    } catch (const std::exception& error) {
        throw EngineError("openvino can't be used: " + one_line(error.what()));
    }
    const auto has = [&](const char* name) {
        return std::find(capabilities.begin(), capabilities.end(), name) != capabilities.end();
    };
    const bool has_bf16 = has("BF16");
    std::string chosen = "f32";
    if (precision == Precision::bf16 || (precision == Precision::automatic && has_bf16)) chosen = "bf16";
    if (precision == Precision::f16) chosen = "f16";
    if ((chosen == "bf16" && !has_bf16) || (chosen == "f16" && !has("FP16"))) {
        throw EngineError("openvino: this CPU has no " + chosen + " arithmetic; use f32");
    }
    return std::make_unique<OpenVinoEngine>(threads, chosen);
}

}  // namespace vljepa
