// One adapter trained by one thread: the same run as batched.py's, several times faster on a processor that multiplies
// bfloat16. Rows stand end to end without padding, the last layer is only reckoned where an answer is said, and what
// goes into a product is rounded to bfloat16, while sums, norms, softmax and the optimiser are in float.
//
// The rank is 8; a layer's widths are multiples of 16 once the inner one is padded with zeros, which stay zeros.

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace {

constexpr int RANK = 8, LANES = 16;
using Half = uint16_t;
using Floats = std::vector<float>;
using Halves = std::vector<Half>;

int padded(int n) { return (n + LANES - 1) / LANES * LANES; }

Half half(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return static_cast<Half>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

void halved(const float* from, Half* to, size_t count) {  // count is a multiple of 16
    for (size_t i = 0; i < count; i += LANES)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                            reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_loadu_ps(from + i))));
}

// A right factor, depth × width, as pairs of lines: [depth / 2][width][2].
struct Packed {
    int depth = 0, width = 0;
    Halves values;

    void size(int d, int w) {
        depth = d + d % 2, width = padded(w);
        values.assign(static_cast<size_t>(depth) * width, 0);
    }
    void set(int line, int column, float value) {
        values[(static_cast<size_t>(line / 2) * width + column) * 2 + line % 2] = half(value);
    }
};

template <int ROWS, int VECTORS>
void tile(const Half* left, int left_stride, const Half* right, int right_width, int pairs, float* out, int out_stride,
          bool add) {
    __m512 sums[ROWS][VECTORS];
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++)
            sums[r][v] = add ? _mm512_loadu_ps(out + r * out_stride + v * LANES) : _mm512_setzero_ps();
    for (int k = 0; k < pairs; k++) {
        __m512i line[VECTORS];
        for (int v = 0; v < VECTORS; v++)
            line[v] = _mm512_loadu_si512(right + (static_cast<size_t>(k) * right_width + v * LANES) * 2);
        for (int r = 0; r < ROWS; r++) {
            int pair;
            std::memcpy(&pair, left + r * left_stride + 2 * k, 4);
            __m512i both = _mm512_set1_epi32(pair);
            for (int v = 0; v < VECTORS; v++)
                sums[r][v] = _mm512_dpbf16_ps(sums[r][v], (__m512bh)both, (__m512bh)line[v]);
        }
    }
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++) _mm512_storeu_ps(out + r * out_stride + v * LANES, sums[r][v]);
}

template <int VECTORS>
void strip(int rows, const Half* left, int left_stride, const Half* right, int right_width, int pairs, float* out,
           int out_stride, bool add) {
    constexpr int TALL = VECTORS == 1 ? 12 : VECTORS == 2 ? 12 : 6;
    int r = 0;
    for (; r + TALL <= rows; r += TALL)
        tile<TALL, VECTORS>(left + r * left_stride, left_stride, right, right_width, pairs, out + r * out_stride,
                            out_stride, add);
    auto rest = [&](auto some) {
        for (; r + some() <= rows; r += some())
            tile<some(), VECTORS>(left + r * left_stride, left_stride, right, right_width, pairs, out + r * out_stride,
                                  out_stride, add);
    };
    rest(std::integral_constant<int, 4>()), rest(std::integral_constant<int, 2>());
    rest(std::integral_constant<int, 1>());
}

// out (rows × right.width) = or += left (rows × depth) · right.
void product(int rows, const Half* left, int left_stride, const Packed& right, float* out, int out_stride, bool add) {
    int pairs = right.depth / 2, vectors = right.width / LANES;
    for (int v = 0; v < vectors; v += 4) {
        const Half* at = right.values.data() + static_cast<size_t>(v) * LANES * 2;
        float* to = out + v * LANES;
        switch (std::min(4, vectors - v)) {
            case 4: strip<4>(rows, left, left_stride, at, right.width, pairs, to, out_stride, add); break;
            case 3: strip<3>(rows, left, left_stride, at, right.width, pairs, to, out_stride, add); break;
            case 2: strip<2>(rows, left, left_stride, at, right.width, pairs, to, out_stride, add); break;
            default: strip<1>(rows, left, left_stride, at, right.width, pairs, to, out_stride, add);
        }
    }
}

// out (8 × width) += small (rows × 16, of which 8 count)ᵀ · wide (rows × width).
void outer(int rows, const float* small, const float* wide, int width, int wide_stride, float factor, float* out) {
    for (int c = 0; c < width; c += LANES) {
        __m512 sums[RANK];
        for (auto& sum : sums) sum = _mm512_setzero_ps();
        for (int t = 0; t < rows; t++) {
            __m512 line = _mm512_loadu_ps(wide + static_cast<size_t>(t) * wide_stride + c);
            for (int r = 0; r < RANK; r++)
                sums[r] = _mm512_fmadd_ps(_mm512_set1_ps(small[t * LANES + r]), line, sums[r]);
        }
        for (int r = 0; r < RANK; r++) {
            float* to = out + static_cast<size_t>(r) * width + c;
            _mm512_storeu_ps(to, _mm512_fmadd_ps(_mm512_set1_ps(factor), sums[r], _mm512_loadu_ps(to)));
        }
    }
}

struct Linear {
    int in, out, real_in, real_out;  // padded, and as they are
    Packed forward, backward;
};

// A (8 × in) and Bᵀ (8 × out) of one layer, with their gradients, moments and packed forms.
struct Adapter {
    int in, out;
    Floats a, b, da, db, ma, mb, va, vb;
    Packed a_narrow, a_wide, b_narrow, b_wide;

    void size(int i, int o) {
        in = i, out = o;
        for (Floats* each : {&a, &da, &ma, &va}) each->assign(static_cast<size_t>(RANK) * in, 0);
        for (Floats* each : {&b, &db, &mb, &vb}) each->assign(static_cast<size_t>(RANK) * out, 0);
        a_narrow.size(in, RANK), b_narrow.size(out, RANK), a_wide.size(RANK, in), b_wide.size(RANK, out);
    }
    static void pack(const Floats& values, int width, float factor, Packed& narrow, Packed& wide) {
        const float* from = values.data();
        for (int r = 0; r < RANK; r += 2)
            for (int i = 0; i < width; i++)
                for (int odd = 0; odd < 2; odd++)
                    wide.values[(static_cast<size_t>(r / 2) * width + i) * 2 + odd] = half(from[(r + odd) * width + i] * factor);
        for (int i = 0; i < width; i += 2)
            for (int r = 0; r < RANK; r++)
                for (int odd = 0; odd < 2; odd++)
                    narrow.values[(static_cast<size_t>(i / 2) * LANES + r) * 2 + odd] = half(from[r * width + i + odd] * factor);
    }
    void pack(float scale) { pack(a, in, 1, a_narrow, a_wide), pack(b, out, scale, b_narrow, b_wide); }
};

// What one product keeps for its way back.
struct Trace {
    Floats input, low;
    Halves input_half, low_half;
};

void apply(const Linear& linear, const Adapter& adapter, int rows, const float* x, int x_stride, Trace& kept, float* y,
           int y_stride) {
    kept.input.resize(static_cast<size_t>(rows) * linear.in), kept.input_half.resize(kept.input.size());
    kept.low.resize(static_cast<size_t>(rows) * LANES), kept.low_half.resize(kept.low.size());
    for (int t = 0; t < rows; t++)
        std::memcpy(&kept.input[static_cast<size_t>(t) * linear.in], x + static_cast<size_t>(t) * x_stride,
                    sizeof(float) * linear.in);
    halved(kept.input.data(), kept.input_half.data(), kept.input.size());
    product(rows, kept.input_half.data(), linear.in, linear.forward, y, y_stride, false);
    product(rows, kept.input_half.data(), linear.in, adapter.a_narrow, kept.low.data(), LANES, false);
    halved(kept.low.data(), kept.low_half.data(), kept.low.size());
    product(rows, kept.low_half.data(), LANES, adapter.b_wide, y, y_stride, true);
}

// dx = or += what dy means for the input; the adapter's gradients grow.
void back(const Linear& linear, Adapter& adapter, int rows, const Trace& kept, const float* dy, int dy_stride,
          float scale, float* dx, bool add) {
    static thread_local Floats low;
    static thread_local Halves dy_half, low_half;
    dy_half.resize(static_cast<size_t>(rows) * linear.out), low.resize(static_cast<size_t>(rows) * LANES);
    low_half.resize(low.size());
    for (int t = 0; t < rows; t++)
        halved(dy + static_cast<size_t>(t) * dy_stride, &dy_half[static_cast<size_t>(t) * linear.out], linear.out);
    product(rows, dy_half.data(), linear.out, linear.backward, dx, linear.in, add);
    product(rows, dy_half.data(), linear.out, adapter.b_narrow, low.data(), LANES, false);
    halved(low.data(), low_half.data(), low.size());
    product(rows, low_half.data(), LANES, adapter.a_wide, dx, linear.in, true);
    outer(rows, low.data(), kept.input.data(), linear.in, linear.in, 1, adapter.da.data());
    outer(rows, kept.low.data(), dy, linear.out, dy_stride, scale, adapter.db.data());
}

void normed(int rows, int width, const float* x, const float* weight, float epsilon, float* y, float* inverse) {
    for (int t = 0; t < rows; t++, x += width, y += width) {
        float sum = 0;
        for (int i = 0; i < width; i++) sum += x[i] * x[i];
        inverse[t] = 1 / std::sqrt(sum / width + epsilon);
        for (int i = 0; i < width; i++) y[i] = x[i] * inverse[t] * weight[i];
    }
}

// dx += what dy means for the norm's input.
void norm_back(int rows, int width, const float* x, const float* weight, const float* inverse, const float* dy,
               float* dx) {
    for (int t = 0; t < rows; t++, x += width, dy += width, dx += width) {
        float dot = 0, r = inverse[t];
        for (int i = 0; i < width; i++) dot += dy[i] * weight[i] * x[i];
        dot *= r * r / width;
        for (int i = 0; i < width; i++) dx[i] += r * (dy[i] * weight[i] - x[i] * dot);
    }
}

enum { Q, K, V, O, GATE, UP, DOWN, KINDS };

struct Layer {
    Linear linear[KINDS];
    Floats norm1, norm2;
};

struct State {  // of one layer, for the way back
    Floats x, n1, r1, q, k, v, looks, seen, middle, n2, r2, g, u;
    Trace trace[KINDS];
};

struct Rows {
    const int32_t* tokens;
    const float* answer;
    const int32_t* length;
    int width;
};

struct Model {
    int layers, hidden, inner, heads, dim, vocabulary;
    float epsilon;
    Floats embedding, norm, frequencies;
    Packed head, head_back;
    std::vector<Layer> layer;
    std::vector<Adapter> adapter;
    std::vector<State> state;
    float scale = 1;

    // The batch: its positions end to end; those at which an answer's token is predicted are said.
    std::vector<int> row_from, row_count, place, said, target, of_row, said_from;
    Floats weight;
    Floats final_x, final_n, final_r, logits;

    void lay(const Rows& rows, const std::vector<int>& chosen) {
        row_from.clear(), row_count.clear(), place.clear(), said.clear(), target.clear(), of_row.clear();
        said_from.clear(), weight.clear();
        int at = 0;
        for (size_t i = 0; i < chosen.size(); i++) {
            size_t line = static_cast<size_t>(chosen[i]) * rows.width;
            int count = rows.length[chosen[i]] - 1;
            row_from.push_back(at), row_count.push_back(count), said_from.push_back(static_cast<int>(said.size()));
            for (int p = 0; p < count; p++, at++) {
                place.push_back(p);
                if (rows.answer[line + p + 1] > 0) {
                    said.push_back(at), target.push_back(rows.tokens[line + p + 1]);
                    of_row.push_back(static_cast<int>(i)), weight.push_back(rows.answer[line + p + 1]);
                }
            }
        }
        said_from.push_back(static_cast<int>(said.size()));
    }

    // Cosines and sines of every place and pair; they grow with the longest row.
    Floats cosines, sines;

    void turn(Floats& x, const std::vector<int>& at, bool backwards) {
        int low = dim / 2;
        size_t longest = *std::max_element(row_count.begin(), row_count.end());
        for (size_t p = cosines.size() / low; p < longest; p++)
            for (int i = 0; i < low; i++) {
                float angle = static_cast<float>(p) * frequencies[i];
                cosines.push_back(std::cos(angle)), sines.push_back(std::sin(angle));
            }
        float sign = backwards ? -1 : 1;
        for (size_t t = 0; t < at.size(); t++) {
            const float *c = &cosines[static_cast<size_t>(place[at[t]]) * low], *s = &sines[static_cast<size_t>(place[at[t]]) * low];
            for (int h = 0; h < heads; h++) {
                float *one = &x[t * hidden + h * dim], *other = one + low;
                for (int i = 0; i < low; i++) {
                    float first = one[i], second = other[i];
                    one[i] = first * c[i] - second * s[i] * sign, other[i] = second * c[i] + first * s[i] * sign;
                }
            }
        }
    }

    // Of row i: which of the positions in `at` are its own.
    void span(size_t i, bool last, int& from, int& to) const {
        from = last ? said_from[i] : row_from[i];
        to = last ? said_from[i + 1] : row_from[i] + row_count[i];
    }

    // Each row's summed loss; where `back_too`, the adapters' gradients of the sum × factor.
    void pass(const Rows& rows, const std::vector<int>& chosen, float* losses, bool back_too, float factor) {
        lay(rows, chosen);
        int total = static_cast<int>(place.size());
        std::vector<int> all(total);
        for (int t = 0; t < total; t++) all[t] = t;
        Floats x(static_cast<size_t>(total) * hidden);
        for (size_t i = 0; i < chosen.size(); i++)
            for (int p = 0; p < row_count[i]; p++)
                std::memcpy(&x[static_cast<size_t>(row_from[i] + p) * hidden],
                            &embedding[static_cast<size_t>(rows.tokens[static_cast<size_t>(chosen[i]) * rows.width + p]) * hidden],
                            sizeof(float) * hidden);
        for (int l = 0; l < layers; l++) x = forward(l, x, l == layers - 1 ? said : all);
        int count = static_cast<int>(said.size());
        final_x = x, final_n.resize(x.size()), final_r.resize(count);
        normed(count, hidden, x.data(), norm.data(), epsilon, final_n.data(), final_r.data());
        Halves input(final_n.size());
        halved(final_n.data(), input.data(), input.size());
        logits.resize(static_cast<size_t>(count) * head.width);
        product(count, input.data(), hidden, head, logits.data(), head.width, false);
        std::fill(losses, losses + chosen.size(), 0.0f);
        for (int t = 0; t < count; t++) {
            float* line = &logits[static_cast<size_t>(t) * head.width];
            float most = line[0], sum = 0;
            for (int i = 0; i < vocabulary; i++) most = std::max(most, line[i]);
            float wanted = line[target[t]];
            for (int i = 0; i < vocabulary; i++) line[i] = std::exp(line[i] - most), sum += line[i];
            losses[of_row[t]] += weight[t] * (std::log(sum) + most - wanted);
            float each = weight[t] * factor / sum;
            for (int i = 0; i < vocabulary; i++) line[i] *= each;
            line[target[t]] -= weight[t] * factor;
        }
        if (!back_too) return;
        Halves back_half(logits.size());
        halved(logits.data(), back_half.data(), back_half.size());
        Floats dn(x.size()), dx(x.size(), 0.0f);
        product(count, back_half.data(), head.width, head_back, dn.data(), hidden, false);
        norm_back(count, hidden, final_x.data(), norm.data(), final_r.data(), dn.data(), dx.data());
        for (int l = layers - 1; l >= 0; l--) dx = backward(l, dx, l == layers - 1 ? said : all);
    }

    Floats forward(int l, const Floats& x, const std::vector<int>& at) {
        Layer& own = layer[l];
        State& kept = state[l];
        Adapter* lora = &adapter[l * KINDS];
        bool last = l == layers - 1;
        int total = static_cast<int>(place.size()), count = static_cast<int>(at.size());
        kept.x = x, kept.n1.resize(x.size()), kept.r1.resize(total);
        normed(total, hidden, x.data(), own.norm1.data(), epsilon, kept.n1.data(), kept.r1.data());
        Floats asking(static_cast<size_t>(count) * hidden);
        kept.middle.resize(asking.size());
        for (int t = 0; t < count; t++) {
            std::memcpy(&asking[static_cast<size_t>(t) * hidden], &kept.n1[static_cast<size_t>(at[t]) * hidden], sizeof(float) * hidden);
            std::memcpy(&kept.middle[static_cast<size_t>(t) * hidden], &x[static_cast<size_t>(at[t]) * hidden], sizeof(float) * hidden);
        }
        kept.q.resize(asking.size()), kept.k.resize(x.size()), kept.v.resize(x.size());
        apply(own.linear[Q], lora[Q], count, asking.data(), hidden, kept.trace[Q], kept.q.data(), hidden);
        apply(own.linear[K], lora[K], total, kept.n1.data(), hidden, kept.trace[K], kept.k.data(), hidden);
        apply(own.linear[V], lora[V], total, kept.n1.data(), hidden, kept.trace[V], kept.v.data(), hidden);
        std::vector<int> every(total);
        for (int t = 0; t < total; t++) every[t] = t;
        turn(kept.q, at, false), turn(kept.k, every, false);
        look(kept, at, last);
        Floats out(asking.size());
        apply(own.linear[O], lora[O], count, kept.seen.data(), hidden, kept.trace[O], out.data(), hidden);
        for (size_t i = 0; i < out.size(); i++) kept.middle[i] += out[i];
        kept.n2.resize(out.size()), kept.r2.resize(count);
        normed(count, hidden, kept.middle.data(), own.norm2.data(), epsilon, kept.n2.data(), kept.r2.data());
        kept.g.resize(static_cast<size_t>(count) * inner), kept.u.resize(kept.g.size());
        apply(own.linear[GATE], lora[GATE], count, kept.n2.data(), hidden, kept.trace[GATE], kept.g.data(), inner);
        apply(own.linear[UP], lora[UP], count, kept.n2.data(), hidden, kept.trace[UP], kept.u.data(), inner);
        Floats joined(kept.g.size());
        for (size_t i = 0; i < joined.size(); i++) joined[i] = kept.g[i] / (1 + std::exp(-kept.g[i])) * kept.u[i];
        apply(own.linear[DOWN], lora[DOWN], count, joined.data(), inner, kept.trace[DOWN], out.data(), hidden);
        for (size_t i = 0; i < out.size(); i++) out[i] += kept.middle[i];
        return out;
    }

    // Softmax of what each position sees before it; `looks` has a line of the row's length for each head and asker.
    void look(State& kept, const std::vector<int>& at, bool last) {
        kept.seen.assign(kept.q.size(), 0);
        size_t longest = *std::max_element(row_count.begin(), row_count.end());
        kept.looks.resize(at.size() * heads * longest);
        float root = 1 / std::sqrt(static_cast<float>(dim));
        for (size_t i = 0; i < row_from.size(); i++) {
            int from, to;
            span(i, last, from, to);
            for (int t = from; t < to; t++)
                for (int h = 0; h < heads; h++) {
                    float* line = &kept.looks[(static_cast<size_t>(t) * heads + h) * longest];
                    const float* q = &kept.q[static_cast<size_t>(t) * hidden + h * dim];
                    int before = at[t] - row_from[i] + 1;
                    float most = -1e30f, sum = 0;
                    for (int j = 0; j < before; j++) {
                        const float* k = &kept.k[static_cast<size_t>(row_from[i] + j) * hidden + h * dim];
                        float dot = 0;
                        for (int d = 0; d < dim; d++) dot += q[d] * k[d];
                        line[j] = dot * root, most = std::max(most, line[j]);
                    }
                    for (int j = 0; j < before; j++) line[j] = std::exp(line[j] - most), sum += line[j];
                    float* seen = &kept.seen[static_cast<size_t>(t) * hidden + h * dim];
                    for (int j = 0; j < before; j++) {
                        line[j] /= sum;
                        const float* v = &kept.v[static_cast<size_t>(row_from[i] + j) * hidden + h * dim];
                        for (int d = 0; d < dim; d++) seen[d] += line[j] * v[d];
                    }
                }
        }
    }

    Floats backward(int l, const Floats& dy, const std::vector<int>& at) {
        Layer& own = layer[l];
        State& kept = state[l];
        Adapter* lora = &adapter[l * KINDS];
        bool last = l == layers - 1;
        int total = static_cast<int>(place.size()), count = static_cast<int>(at.size());
        Floats djoined(kept.g.size()), dg(kept.g.size()), du(kept.g.size());
        back(own.linear[DOWN], lora[DOWN], count, kept.trace[DOWN], dy.data(), hidden, scale, djoined.data(), false);
        for (size_t i = 0; i < dg.size(); i++) {
            float sigmoid = 1 / (1 + std::exp(-kept.g[i])), silu = kept.g[i] * sigmoid;
            du[i] = djoined[i] * silu, dg[i] = djoined[i] * kept.u[i] * (sigmoid + silu * (1 - sigmoid));
        }
        Floats dn(dy.size()), dmiddle = dy;
        back(own.linear[GATE], lora[GATE], count, kept.trace[GATE], dg.data(), inner, scale, dn.data(), false);
        back(own.linear[UP], lora[UP], count, kept.trace[UP], du.data(), inner, scale, dn.data(), true);
        norm_back(count, hidden, kept.middle.data(), own.norm2.data(), kept.r2.data(), dn.data(), dmiddle.data());
        Floats dseen(dy.size()), dq(kept.q.size(), 0), dk(kept.k.size(), 0), dv(kept.v.size(), 0);
        back(own.linear[O], lora[O], count, kept.trace[O], dmiddle.data(), hidden, scale, dseen.data(), false);
        look_back(kept, at, last, dseen, dq, dk, dv);
        std::vector<int> every(total);
        for (int t = 0; t < total; t++) every[t] = t;
        turn(dq, at, true), turn(dk, every, true);
        Floats dasking(dy.size()), dn1(kept.x.size()), dx(kept.x.size(), 0);
        back(own.linear[Q], lora[Q], count, kept.trace[Q], dq.data(), hidden, scale, dasking.data(), false);
        back(own.linear[K], lora[K], total, kept.trace[K], dk.data(), hidden, scale, dn1.data(), false);
        back(own.linear[V], lora[V], total, kept.trace[V], dv.data(), hidden, scale, dn1.data(), true);
        for (int t = 0; t < count; t++)
            for (int i = 0; i < hidden; i++) {
                dn1[static_cast<size_t>(at[t]) * hidden + i] += dasking[static_cast<size_t>(t) * hidden + i];
                dx[static_cast<size_t>(at[t]) * hidden + i] += dmiddle[static_cast<size_t>(t) * hidden + i];
            }
        norm_back(total, hidden, kept.x.data(), own.norm1.data(), kept.r1.data(), dn1.data(), dx.data());
        return dx;
    }

    void look_back(State& kept, const std::vector<int>& at, bool last, const Floats& dseen, Floats& dq, Floats& dk,
                   Floats& dv) {
        size_t longest = *std::max_element(row_count.begin(), row_count.end());
        float root = 1 / std::sqrt(static_cast<float>(dim));
        Floats dlook(longest);
        for (size_t i = 0; i < row_from.size(); i++) {
            int from, to;
            span(i, last, from, to);
            for (int t = from; t < to; t++)
                for (int h = 0; h < heads; h++) {
                    const float* line = &kept.looks[(static_cast<size_t>(t) * heads + h) * longest];
                    const float* ds = &dseen[static_cast<size_t>(t) * hidden + h * dim];
                    size_t own = static_cast<size_t>(t) * hidden + h * dim;
                    int before = at[t] - row_from[i] + 1;
                    float mean = 0;
                    for (int j = 0; j < before; j++) {
                        size_t other = static_cast<size_t>(row_from[i] + j) * hidden + h * dim;
                        float dot = 0;
                        for (int d = 0; d < dim; d++) dot += ds[d] * kept.v[other + d], dv[other + d] += line[j] * ds[d];
                        dlook[j] = dot, mean += dot * line[j];
                    }
                    for (int j = 0; j < before; j++) {
                        size_t other = static_cast<size_t>(row_from[i] + j) * hidden + h * dim;
                        float each = line[j] * (dlook[j] - mean) * root;
                        for (int d = 0; d < dim; d++) {
                            dq[own + d] += each * kept.k[other + d];
                            dk[other + d] += each * kept.q[own + d];
                        }
                    }
                }
        }
    }

    // A (8 × in) and B (out × 8), as the rest of the benchmark keeps them, into the padded forms and out of them.
    void exchange(float* const* given, bool out) {
        for (int m = 0; m < layers * KINDS; m++) {
            const Linear& linear = layer[m / KINDS].linear[m % KINDS];
            Adapter& own = adapter[m];
            for (int r = 0; r < RANK; r++) {
                for (int i = 0; i < linear.real_in; i++) {
                    float &mine = own.a[static_cast<size_t>(r) * own.in + i], &theirs = given[2 * m][static_cast<size_t>(r) * linear.real_in + i];
                    (out ? theirs : mine) = out ? mine : theirs;
                }
                for (int i = 0; i < linear.real_out; i++) {
                    float &mine = own.b[static_cast<size_t>(r) * own.out + i], &theirs = given[2 * m + 1][static_cast<size_t>(i) * RANK + r];
                    (out ? theirs : mine) = out ? mine : theirs;
                }
            }
            if (!out) own.pack(scale);
        }
    }

    void begin(float* const* given, float times) {
        scale = times;
        for (int m = 0; m < layers * KINDS; m++) {
            const Linear& linear = layer[m / KINDS].linear[m % KINDS];
            adapter[m].size(linear.in, linear.out);
        }
        exchange(given, false);
    }
};

struct Recipe {
    int adam;
    float beta1, beta2, epsilon;
};

void descend(Floats& values, Floats& gradients, Floats& first, Floats& second, const Recipe& recipe, float rate, int step) {
    float bias1 = 1 - std::pow(recipe.beta1, static_cast<float>(step));
    float root2 = std::sqrt(1 - std::pow(recipe.beta2, static_cast<float>(step)));
    size_t count = values.size();
    float *p = values.data(), *g = gradients.data(), *m = first.data(), *v = second.data();
    if (recipe.adam)
        for (size_t i = 0; i < count; i++) {
            m[i] += (g[i] - m[i]) * (1 - recipe.beta1);
            v[i] = v[i] * recipe.beta2 + g[i] * g[i] * (1 - recipe.beta2);
            p[i] -= rate / bias1 * m[i] / (std::sqrt(v[i]) / root2 + recipe.epsilon);
        }
    else
        for (size_t i = 0; i < count; i++) m[i] = m[i] * recipe.beta1 + g[i], p[i] -= rate * m[i];
    std::fill(gradients.begin(), gradients.end(), 0.0f);
}

}  // namespace

extern "C" {

// `weights`: of each layer its seven products (out × in) in the order of LINEAR, then its two norms.
void* quick_open(int layers, int hidden, int inner, int heads, int vocabulary, float epsilon, const float* embedding,
                 const float* head, const float* norm, const float* const* weights, const float* frequencies) {
    auto* model = new Model();
    model->layers = layers, model->hidden = hidden, model->inner = padded(inner), model->heads = heads;
    model->dim = hidden / heads, model->vocabulary = vocabulary, model->epsilon = epsilon;
    model->embedding.assign(embedding, embedding + static_cast<size_t>(vocabulary) * hidden);
    model->norm.assign(norm, norm + hidden);
    model->frequencies.assign(frequencies, frequencies + model->dim / 2);
    model->head.size(hidden, vocabulary), model->head_back.size(padded(vocabulary), hidden);
    for (int v = 0; v < vocabulary; v++)
        for (int i = 0; i < hidden; i++) {
            model->head.set(i, v, head[static_cast<size_t>(v) * hidden + i]);
            model->head_back.set(v, i, head[static_cast<size_t>(v) * hidden + i]);
        }
    model->layer.resize(layers), model->state.resize(layers), model->adapter.resize(layers * KINDS);
    for (int l = 0; l < layers; l++) {
        for (int kind = 0; kind < KINDS; kind++) {
            Linear& own = model->layer[l].linear[kind];
            own.real_in = kind == DOWN ? inner : hidden, own.real_out = kind == GATE || kind == UP ? inner : hidden;
            own.in = padded(own.real_in), own.out = padded(own.real_out);
            own.forward.size(own.in, own.out), own.backward.size(own.out, own.in);
            const float* from = weights[l * (KINDS + 2) + kind];
            for (int o = 0; o < own.real_out; o++)
                for (int i = 0; i < own.real_in; i++) {
                    own.forward.set(i, o, from[static_cast<size_t>(o) * own.real_in + i]);
                    own.backward.set(o, i, from[static_cast<size_t>(o) * own.real_in + i]);
                }
        }
        const float *one = weights[l * (KINDS + 2) + KINDS], *other = weights[l * (KINDS + 2) + KINDS + 1];
        model->layer[l].norm1.assign(one, one + hidden), model->layer[l].norm2.assign(other, other + hidden);
    }
    return model;
}

void quick_close(void* model) { delete static_cast<Model*>(model); }

// `order`: the rows of all steps, `batch_from[step]` to `batch_from[step + 1]`; rows that are not kept leave a gap.
void quick_train(void* opened, const int32_t* tokens, const float* answer, const int32_t* length, int width,
                 const int32_t* order, const int32_t* batch_from, int steps, const uint8_t* kept, const float* rates,
                 float divisor, float scale, int adam, float beta1, float beta2, float epsilon, float rate_a,
                 float* const* adapter) {
    auto& model = *static_cast<Model*>(opened);
    Rows rows{tokens, answer, length, width};
    Recipe recipe{adam, beta1, beta2, epsilon};
    model.begin(adapter, scale);
    Floats losses;
    std::vector<int> chosen;
    for (int step = 0, taken = 0; step < steps; step++) {
        chosen.clear();
        for (int i = batch_from[step]; i < batch_from[step + 1]; i++)
            if (kept[order[i]]) chosen.push_back(order[i]);
        if (chosen.empty()) continue;
        losses.resize(chosen.size());
        model.pass(rows, chosen, losses.data(), true, 1 / divisor);
        taken++;
        for (Adapter& own : model.adapter) {
            descend(own.a, own.da, own.ma, own.va, recipe, rates[step] * rate_a, taken);
            descend(own.b, own.db, own.mb, own.vb, recipe, rates[step], taken);
            own.pack(scale);
        }
    }
    model.exchange(adapter, true);
}

void quick_losses(void* opened, const int32_t* tokens, const float* answer, const int32_t* length, int width, int count,
                  float scale, float* const* adapter, float* losses) {
    auto& model = *static_cast<Model*>(opened);
    Rows rows{tokens, answer, length, width};
    model.begin(adapter, scale);
    for (int at = 0; at < count; at += 32) {
        std::vector<int> chosen;
        for (int i = at; i < std::min(count, at + 32); i++) chosen.push_back(i);
        model.pass(rows, chosen, losses + at, false, 1);
    }
}
}
