from ringfence._core._kernel_columns cimport hash_fixed, hash_offsets, hash_utf32, hash_views, mix_many
from ringfence._core._kernel_strings cimport hash_strings, null_strings
from ringfence._core._kernel_hash cimport hash_list
