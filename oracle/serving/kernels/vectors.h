// Sixteen floats at a time, and what is asked of them everywhere.

#pragma once

#include <cstdint>
#include <cstring>

namespace {

constexpr int LANES = 16;
typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef float VecAt4 __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef float Eight __attribute__((vector_size(32)));
typedef float EightAt4 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
typedef uint32_t WordsAt2 __attribute__((vector_size(4 * LANES), aligned(2), may_alias));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));
typedef uint16_t HalvesAt2 __attribute__((vector_size(2 * LANES), aligned(2), may_alias));

inline Vec load(const float* at) { return *(const VecAt4*)at; }
inline void store(float* at, Vec v) { *(VecAt4*)at = v; }
// bf16 is the upper half of a float: widening is exact.
inline Vec load(const uint16_t* at) {
    Words w = __builtin_convertvector((Halves) * (const HalvesAt2*)at, Words) << 16;
    return (Vec)w;
}
inline Vec all(float f) { return Vec{} + f; }

// The sums over the lanes of eight vectors, each by the same tree, in 16 shuffles instead of 64.
inline void sums(const Vec* v, float scale, float* to) {
    Vec a[4], b[2];
    for (int i = 0; i < 4; i++)
        a[i] = __builtin_shufflevector(v[2 * i], v[2 * i + 1], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
               __builtin_shufflevector(v[2 * i], v[2 * i + 1], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    for (int i = 0; i < 2; i++)
        b[i] = __builtin_shufflevector(a[2 * i], a[2 * i + 1], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
               __builtin_shufflevector(a[2 * i], a[2 * i + 1], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    Vec c = __builtin_shufflevector(b[0], b[1], 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29) +
            __builtin_shufflevector(b[0], b[1], 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
    Eight d = __builtin_shufflevector(c, c, 0, 2, 4, 6, 8, 10, 12, 14) + __builtin_shufflevector(c, c, 1, 3, 5, 7, 9, 11, 13, 15);
    *(EightAt4*)to = d * scale;
}

inline float sum(Vec v) {
    float f[LANES];
    std::memcpy(f, &v, sizeof f);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) f[i] += f[i + half];
    return f[0];
}

inline float largest(Vec v) {
    float f[LANES];
    std::memcpy(f, &v, sizeof f);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) f[i] = f[i + half] > f[i] ? f[i + half] : f[i];
    return f[0];
}

// e^x for x ≤ 0, relative error below 2^-22: 2^n from the exponent's bits, a polynomial for the rest.
inline Vec exp_negative(Vec x) {
    const Vec low = all(-87.0f);
    x = x < low ? low : x;
    const Vec shift = all(12582912.0f);  // 1.5 × 2^23: adding it rounds to an integer in the low bits
    Vec t = x * 1.44269504f + shift;
    Ints n = (Ints)t - (Ints)shift;
    t = t - shift;
    Vec r = x - t * 0.693359375f;
    r = r + t * 2.12194440e-4f;
    Vec p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    Vec result = (Vec)((Ints)p + (n << 23));
    return x == x ? result : x;  // NaN stays NaN: it must reach the scores, where it is noticed
}

// Into the second cache, not the first: a core waits for few lines of the first at once, and stands still when all are
// under way. A fetch of what is not there does no harm.
inline void fetch(const void* at) { __builtin_prefetch(at, 0, 2); }

}  // namespace
