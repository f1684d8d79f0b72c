"""JPEGs of codings that Pillow does not write, by jpegtran and imagecodecs from pictures of `photo_samples.smooth`."""

import base64

# Arithmetic coding, SOF9, of smooth(96, 192) at quality 60.
ARITHMETIC = base64.b85decode(
    r"|JeWF01!$>Nk#wx0RR9200961|JwjV01XKW3knDg3knMk4h;_zAQcl55)&sJ9v2`kDKRiEDJ?8BI!Zn>HbyrrEkIX6ModmpQ&KWM"
    r"T47pHU`kO^PygEhLjevB4iga*CKVMXPc<zyPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPf!2J"
    r"01*fPzyM$a0U`hb5di}c0sqVZ3IGrg1pyEd1^?Or3<CiG0ucid06zfImYQxTF{=16c)`&Q40<Zs7FTD6k*3$o#nB0CJ?3|{tQ+xK"
    r"!m@F2k&9N^pSq;BX^b2M%KLZ5iAC%VLb$a({UMj`Co~x!0xXLyp>Zj-hi$$Qyw}>#73T$JNa;LHLfI>+ftOho{{SYo%xvOdd44Ip"
    r"6Dt!tK77e`GY6O%HBz6Uj_hMHz$#cSKPMlXwPnKFe0_X%iyL(cU-KEx0uo?1D8ji=Dxs+6ih;y}G;md$PZ>$$#Tx?!yAwby2)X-;"
    r"rhV1}QMF_q;D9mjC{2Nj8RuARBv)K$EO}s{f;-<uUMOu|oyv!Ty!=(6@v6|=<mPYv(HI%Q*xL9jxMDkF^{(>g_)u)kjC>I&%^H{d"
    r"<;@ZQ0RBwr*1&I2bRL62MMOXIK&as@nYPX={{Sk|YZd)%WaBWY>&`I_cDIb<IYST<7zTE1wcR2v^DS1l-s;ZjVEynf&gQnr9hUSD"
    r"q{y@c;&5aXetl|wsZ$6iDf-d&s*}+bbDm#AvU)4(@`EHLKz2gUt^3sXcgZ0>0_;ROhi<&=^YiBuIbr<iir|rM<6{(o!eufN#fOLC"
    r"<>gC2W$jeEJo-@+t}EAh7+*5<C;K!~E4GxFm-2`TIjd}eWBb^krVByI&fZR@s?}?+r{`!f#R66NWqlh3Bqz7R;Q<P!C2rPdS1(>X"
    r"k)wFW{cBgKT63)6%cePxsXC)-?nbp+5RATn=vLrJC1@;mo4?fAbH&2#0RkfCVzJb^68@$=E=ao&(t1j&Zm70n=Figl%Eszd5vwIA"
    r"dp1_(Ifo;-k@@n%ci=TgeTq*ZEx-YU2-pIVh=#7QGtnJ;l;wEtJM?3Pe|~@5<|pYXjVow@cCR*AV}I<oCR<}1+M=CA*v)rYo?@&@"
    r"K+>BF;Z_mxdR)LlFKS}c4sVP4ul**xjWUB5ic`0SLCUy)YRO|eNmR`A4NO^#d%YI4dEfwx$GQVGFWO2s1gODW%sa2vITJT85I?~<"
    r"cD6m>hY2@GufPaSMo#$mfB6;;^1R8J^vi=XSM<fuqGUUKHnw#izSo+Dp5vXlu&UgIeT7C7_s2M7T{q3HT#iTi0c)0f+Twa_7N_`b"
    r"Kd$TGD|U)3w|Jr+*M;M0xqhdt3_37EVy@ujK5g_vd`9hu&G1EG%gw}k^`R%fp8`{CVt}5wg=lD5SkSh0YWBGp6y&?^trrGzti7ZC"
    r"U7WD#8AeVVvIGREyJZw-1?4avb8qF7tMPPaBvhtd!VbK-omk{f<^$(OP?5qsLA<QNIfap#Y9M=O#_r;D&)*tC76*gy4<?KTMyO1d"
    r"r1WWPcBMDXdz0P`L?os1VWLYODQrqHQ_3n7j^t(-!(4XP)ou~OdQ|v9b3Vc*KBoBeGk6!qvl?lZq+(Bxuj(KvKggO{1hc@SkhBHu"
    r"<ANWhV^KO<yim3n2_q)>Ttq{NZL<!jk{Df2i8IoFJ=ZbuYpZ14FPQfeKv!tP6c}OVsq<(s)e<b!o~bLk3)pmk9f*hpn*?gDY)O={"
    r"5x!^Ijdb29^`_TGuCfSybWDQ>i5BxD2r%(b-n&auQvjCI1X-GP`edev$l!eqqF21{d9#SMk;yXhoYfTXh}0`F3fY^-WZH!MGq<xE"
    r"_P#2>uDR}lzYjZ<NZa9wiKMHcNl>u(z<k_nsZLG_xZCxR<TXb&FocMviASUa@iHKYJ_8#8wH}3JkBh7`acPc@JZIk#5kq=FIaZBo"
    r"A`F0*ld*N=`!SdP6YEbJr$b^iX_@jl=6;oVnAs4$2sQWs3j<>C>U%jarshoX<&D{8wTh4P&tN7BU2TB^ZXc}3J)Jp{;zIe+{v)GE"
    r"dRJPbm)AVn>6(`ad3Yd|y|+V;7Lwhk<3;@4Bc%03tUB%dYc7wannH^+W7y>a)zw3Ph0gN1=h+0AsaWu4ACWFA_5%}F*CFaS0RaG>"
    r"Duyzx2P4dK`5C<0A!gtS>~4gjc)S50Jr5R{)fq;Gp}Zyiy+cyfum|x@wh@Ohyj<x2*#"
)
# Lossless coding of 8 bits, SOF3, of smooth(24, 16).
LOSSLESS = base64.b85decode(
    r"|JeWT01iQ9Z(?NtWB>pF0095P01*fP5C9khQV{@05dcCF0RO}Q8~^|V00RL50RR9100000000041_K2M0s#mA+5ij#QUFH)LI42("
    r"0QvjB%Rir_RQNX-&sYsw<igzF8lf1OCXu8>!hx_uq$v<A5iJlakvHjcdr66?Pbx?*Mc^bcbcWjrVUzTVKSSWZlSPb^#m(_}2<3^D"
    r"O=4z5jmljiREcPTWPwnDw?mu6O;RMfWNKt$q@vv+w$~MGev!M*Wyov2lYdC>oZlDVlE!E-3obgbM5jnsrdlLdqEMhbhc~Q&p+u2D"
    r"j6{w|nop!Qno^a|(l$*PnKZe{T%=x3Z;kXzhO5Y9HrR@s9U)|~W~o-0xk$*DH|r55kRwnd5G0T^Nc4uvc;3DFyDo^hPPRv~MX}Nn"
    r"8Oi*DUdFzg{{V$=j&HQaSl}raHVYV3=?x-eqC{FGY6QXttqyN~XxhK|zsJox#Ji+pq+^{SD$%E8@toP^DY6z`xxUORJe%BRd`7<q"
    r"NKPzAszs(qq)((Mk2kk8IR60V>O5#4Bwr%mBcACA$4z^NcFp4@V+E#uZ?ec!dp3VhKMgmIkd?+pU?W#0mNg0<Q|9(3k4}DXt9Y1r"
    r"jeLxJlYgW%kC<LI4wR0T4i=4beRC%N065lBJcReIkdO$!B!)6`5RL(rxxXfmU9ZjbO_FXAZjsLuFZ717<0Izf@~QIC;>q4`sBqi1"
    r"44S41eElICkc{?9eKfxeUJaH$Z~3h?*}pfNV2)&qXp(TyInoO}I`KsLUioPGUjG0$(7Zh8v!;c@MXr#HWRA{FWi{ChzKz+<_^_H^"
    r"zobh0BJz>B$#xA>T;4WqoGM)`o-E%g-sug?=10wA<kQ4!yx$n%B-x^5U4i`N7EX{~DLdozi2nd2SV(#&@(E_<_Lw*9m8}+z7A_Qz"
    r"bcVs>3+9pXQSvSRZ;g1Ebk(|gaNIOhv(gD{Np=4KNQ}ZpVkLZ<e}|8}-?R2pWh}FnY!!_g*7`#`hP~2p;yv;$?r)KNpL|jA$Bp}?"
    r"dz~PL<dIYKh_y)NiOdGS5ue95?>v=(Y3Q=ZQ)V`7bcdErGeoO|V}xtm-z@Q{eDe9Ve5ZV}d!#j#Bx*mTMkGn7X%sN5Y!~MGOeKaQ"
    r")5%@%-~Af*(h21!vyu!EZ4wRheB**HjJ$7OD_$)h=?z^e7KiB($P*}<#Egj>l{vntQqf||0a1wC_zyiHstJEYZbCCLD91PHSur$h"
    r"oGDx^UM$|}5C7Q"
)
