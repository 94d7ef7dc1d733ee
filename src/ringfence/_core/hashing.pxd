from ringfence._core._kernel_hash cimport hash_by, hash_list, murmur3_key, uint64_key, xxh64_key
from ringfence._core._kernel_murmur cimport mix64 as mix
