# ruff: noqa: E501
"""The words of the phrasebook: French and English side by side, one entry a line, parsed by `data.phrasebook`.

Nouns: French, gender, English, class; an irregular plural follows after a slash. Adjectives: French masculine and
feminine, English, place (b before the noun, a after, - never beside it), classes they describe. Verbs: see VERBS.
"""

NOUNS = """
homme m man/men human; femme f woman/women human; garçon m boy human; fille f girl human
enfant m child/children human; ami m friend human; voisin m neighbour human; voisine f neighbour human
médecin m doctor human; professeur m teacher human; étudiant m student human; étudiante f student human
père m father human; mère f mother human; frère m brother human; sœur f sister human
fils m son human; oncle m uncle human; tante f aunt human; cousin m cousin human
cousine f cousin human; grand-mère/grands-mères f grandmother human; grand-père/grands-pères m grandfather human
boulanger m baker human; boulangère f baker human; infirmière f nurse human; ouvrier m worker human
avocat m lawyer human; avocate f lawyer human; chanteur m singer human; chanteuse f singer human
acteur m actor human; actrice f actress human; roi m king human; reine f queen human
soldat m soldier human; peintre m painter human; facteur m postman/postmen human; pêcheur m fisherman/fishermen human
serveur m waiter human; serveuse f waitress human; directeur m director human; directrice f director human
touriste m tourist human; fermier m farmer human; fermière f farmer human; policier m policeman/policemen human
danseuse f dancer human; danseur m dancer human; élève m pupil human; bébé m baby human
chat m cat animal; chien m dog animal; cheval/chevaux m horse animal; vache f cow animal
oiseau/oiseaux m bird animal; poisson m fish/fish animal; souris/souris f mouse/mice animal; lapin m rabbit animal
poule f hen animal; mouton m sheep/sheep animal; chèvre f goat animal; canard m duck animal
lion m lion animal; ours/ours m bear animal; loup m wolf/wolves animal; renard m fox animal
abeille f bee animal; grenouille f frog animal; tortue f turtle animal; âne m donkey animal
girafe f giraffe animal; singe m monkey animal; cochon m pig animal; papillon m butterfly animal
pomme f apple food; poire f pear food; orange f orange food; banane f banana food
fraise f strawberry food; cerise f cherry food; tomate f tomato food; carotte f carrot food
gâteau/gâteaux m cake food; sandwich/sandwichs m sandwich food; œuf m egg food; salade f salad food
soupe f soup food; crêpe f pancake food; biscuit m biscuit food; tarte f pie food
glace f ice cream food; citron m lemon food; pêche f peach food; champignon m mushroom food
voiture f car vehicle; train m train vehicle; avion m plane ride; bateau/bateaux m boat ride
vélo m bicycle ride; camion m truck vehicle; moto f motorcycle vehicle; tracteur m tractor vehicle; bus/bus m bus vehicle; taxi m taxi vehicle
livre m book openable; lettre f letter openable; stylo m pen thing; crayon m pencil thing
table f table thing; chaise f chair thing; lampe f lamp thing; clé f key thing
téléphone m telephone thing; ordinateur m computer thing; journal/journaux m newspaper openable; photo f photo thing
image f picture thing; montre f watch thing; sac m bag openable; boîte f box openable
bouteille f bottle openable; verre m glass thing; assiette f plate thing; couteau/couteaux m knife/knives thing
cuillère f spoon thing; fourchette f fork thing; fleur f flower thing; arbre m tree thing
porte f door openable; fenêtre f window openable; lit m bed thing; miroir m mirror thing
guitare f guitar thing; piano m piano thing; balle f ball thing; ballon m balloon thing
cadeau/cadeaux m gift openable; billet m ticket thing; valise f suitcase openable; parapluie m umbrella openable
bague f ring thing; pièce f coin thing; carte f map thing; tableau/tableaux m painting thing
tapis/tapis m rug thing; horloge f clock thing; bougie f candle thing; panier m basket thing
coussin m cushion thing; brosse f brush thing; drapeau/drapeaux m flag thing; robe f dress clothes
chemise f shirt clothes; jupe f skirt clothes; manteau/manteaux m coat clothes; chapeau/chapeaux m hat clothes
chaussure f shoe clothes; gant m glove clothes; veste f jacket clothes; cravate f tie clothes
ceinture f belt clothes; écharpe f scarf/scarves clothes; pull m sweater clothes; casquette f cap clothes
maison f house place; école f school place; gare f station place; marché m market place
jardin m garden place; parc m park place; ville f city place; village m village place
église f church place; musée m museum place; hôpital/hôpitaux m hospital place; restaurant m restaurant place
café m café place; bibliothèque f library place; plage f beach place; forêt f forest place
bureau/bureaux m office place; magasin m shop place; hôtel m hotel place; cuisine f kitchen place
chambre f bedroom place; théâtre m theatre place; cinéma m cinema place; boulangerie f bakery place
piscine f swimming pool place; université f university place; aéroport m airport place; ferme f farm place
château/châteaux m castle place; montagne f mountain place; île f island place; salle f room place
rue f street place; pont m bridge place; usine f factory place; banque f bank place
"""

# classes: human, animal, food, vehicle (driven), ride, thing, openable, clothes, place by their first letter; * for all
ADJECTIVES = """
grand grande big b avrtocp; petit petite small b *; beau belle beautiful b *; vieux vieille old b hvrtopca
nouveau nouvelle new b vrtocp; jeune jeune young b ha; joli jolie pretty b tocpf; bon bonne good b f
mauvais mauvaise bad b f; gros grosse fat b a; long longue long b c
rouge rouge red a fvrtoc; bleu bleue blue a vrtoc; vert verte green a fvrtoc; jaune jaune yellow a fvrtoc
noir noire black a avrtoc; blanc blanche white a avrtoc; gris grise grey a avrtoc; brun brune brown a atoc
rose rose pink a toc; violet violette purple a toc; heureux heureuse happy a h; triste triste sad a h
fatigué fatiguée tired a ha; malade malade sick a ha; content contente pleased - h; intelligent intelligente clever a ha
gentil gentille kind a h; riche riche rich a h; pauvre pauvre poor a h; célèbre célèbre famous a hp
fort forte strong a ha; faible faible weak a ha; calme calme calm a hap; drôle drôle funny a h
sérieux sérieuse serious a h; curieux curieuse curious a ha; paresseux paresseuse lazy a ha; courageux courageuse brave a ha
timide timide shy a ha; prudent prudente careful a h; jaloux jalouse jealous a h; fier fière proud a h
seul seule alone - h; prêt prête ready - h; libre libre free a h; perdu perdue lost a h
rapide rapide fast a avr; lent lente slow a avr; cher chère expensive a fvrtoc; propre propre clean a vrtocp
sale sale dirty a vrtocp; lourd lourde heavy a to; léger légère light a to; chaud chaude hot a f
froid froide cold a f; sucré sucrée sweet a f; délicieux délicieuse delicious a f; frais fraîche fresh a f
ouvert ouverte open a p; fermé fermée closed a p; moderne moderne modern a vrtop; ancien ancienne ancient a top
cassé cassée broken a vrto; utile utile useful a vrto; dangereux dangereuse dangerous a avr; tranquille tranquille quiet a p
étroit étroite narrow a c; large large wide a c; magnifique magnifique magnificent a vrtocp; étrange étrange strange a hatop
vide vide empty a p; plein pleine full a p; parfait parfaite perfect a ftoc; simple simple simple a to
"""

# of each line, English, a sentence takes one at most: nothing is red and blue, or old and new
RIVALS = """
red blue green yellow black white grey brown pink purple
big small fat; old new young modern ancient; happy sad; strong weak; rich poor; brave shy; fast slow; clean dirty
heavy light; hot cold fresh; good bad delicious; open closed full empty; narrow wide long; beautiful pretty magnificent
"""

# infinitive, [present of je tu il nous vous ils, participle] unless regular in -er; English base, [past, participle
# in -ing] unless regular; aspect (a action, e event, s state, f feeling, for things that are known); classes of objects,
# - for none; être if that is its auxiliary
VERBS = """
aimer love f *; adorer adore f *; détester hate f *; préférer,préfère,préfères,préfère,préférons,préférez,préfèrent,préféré prefer,preferred,preferring f *
regarder watch a havrp; chercher look_for a *; trouver find,found s havrtocf; montrer show,showed a vrtocp
manger,mange,manges,mange,mangeons,mangez,mangent,mangé eat,ate a f; goûter taste a f; préparer prepare a f; couper cut,cut,cutting a f
acheter,achète,achètes,achète,achetons,achetez,achètent,acheté buy,bought a fvrtoc
vendre,vends,vends,vend,vendons,vendez,vendent,vendu sell,sold a fvrtoc; porter wear,wore a c; laver wash a vrc
voir,vois,vois,voit,voyons,voyez,voient,vu see,saw s *; prendre,prends,prends,prend,prenons,prenez,prennent,pris take,took,taking a ftoc
ouvrir,ouvre,ouvres,ouvre,ouvrons,ouvrez,ouvrent,ouvert open a o; fermer close a o
perdre,perds,perds,perd,perdons,perdez,perdent,perdu lose,lost,losing a toc; oublier forget,forgot,forgetting s toc
connaître,connais,connais,connaît,connaissons,connaissez,connaissent,connu know,knew s hp; visiter visit a p
attendre,attends,attends,attend,attendons,attendez,attendent,attendu wait_for a hvr; inviter invite a h
aider help a h; écouter listen_to a h; saluer greet a h; remercier thank a h
rencontrer meet,met a h
appeler,appelle,appelles,appelle,appelons,appelez,appellent,appelé call a h; dessiner draw,drew a *
peindre,peins,peins,peint,peignons,peignez,peignent,peint paint a hatop; réparer repair a vrto; casser break,broke a to
conduire,conduis,conduis,conduit,conduisons,conduisez,conduisent,conduit drive,drove,driving a v
nettoyer,nettoie,nettoies,nettoie,nettoyons,nettoyez,nettoient,nettoyé clean a vrtop; cacher hide,hid,hiding a to
toucher touch a ato; compter count a ato; quitter leave,left,leaving a p; photographier photograph a *
admirer admire s *; observer observe a havr; protéger,protège,protèges,protège,protégeons,protégez,protègent,protégé protect a ha
imiter imitate a ha; nourrir,nourris,nourris,nourrit,nourrissons,nourrissez,nourrissent,nourri feed,fed a ha
choisir,choisis,choisis,choisit,choisissons,choisissez,choisissent,choisi choose,chose,choosing a fvrtoc
dormir,dors,dors,dort,dormons,dormez,dorment,dormi sleep,slept a -; courir,cours,cours,court,courons,courez,courent,couru run,ran,running a -
marcher walk a -; danser dance a -; chanter sing,sang a -; nager,nage,nages,nage,nageons,nagez,nagent,nagé swim,swam,swimming a -
travailler work a -; jouer play a -; rire,ris,ris,rit,rions,riez,rient,ri laugh a -; pleurer cry,cried a -
parler speak,spoke a -; voyager,voyage,voyages,voyage,voyageons,voyagez,voyagent,voyagé travel,travelled,travelling a -; étudier study,studied a -
arriver arrive e - être; partir,pars,pars,part,partons,partez,partent,parti leave,left e - être
tomber fall,fell e - être; entrer come_in,came_in e - être; rester stay a - être; rentrer go_home,went_home e - être
sortir,sors,sors,sort,sortons,sortez,sortent,sorti go_out,went_out e - être; revenir,reviens,reviens,revient,revenons,revenez,reviennent,revenu come_back,came_back e - être
mentir,mens,mens,ment,mentons,mentez,mentent,menti lie,lied,lying a -; sourire,souris,souris,sourit,sourions,souriez,sourient,souri smile a -
attraper catch,caught a ato; lever,lève,lèves,lève,levons,levez,lèvent,levé lift a to
commander order a f; mélanger,mélange,mélanges,mélange,mélangeons,mélangez,mélangent,mélangé mix a f; cuisiner cook a -
respirer breathe a -; crier shout a -; trembler tremble a -; rêver dream a -
réfléchir,réfléchis,réfléchis,réfléchit,réfléchissons,réfléchissez,réfléchissent,réfléchi think,thought a -
"""

NAMES = "Marie f; Paul m; Sophie f; Pierre m; Julie f; Thomas m; Claire f; Lucas m; Nathalie f; Michel m; Camille f; Julien m"

NUMBERS = """
deux two; trois three; quatre four; cinq five; six six; sept seven; huit eight; neuf nine; dix ten; onze eleven
douze twelve; treize thirteen; quatorze fourteen; quinze fifteen; seize sixteen; dix-sept seventeen; dix-huit eighteen
dix-neuf nineteen; vingt twenty; trente thirty; quarante forty; cinquante fifty; cent a_hundred
"""

# time of the clause: p past, n now, f future, h habit
TIMES = """
hier=yesterday p; hier soir=last night p; la semaine dernière=last week p; l'année dernière=last year p
lundi dernier=last Monday p; ce matin=this morning p; il y a deux jours=two days ago p; mardi dernier=last Tuesday p
maintenant=now n; en ce moment=at the moment n; demain=tomorrow f; ce soir=tonight f
la semaine prochaine=next week f; l'année prochaine=next year f; demain matin=tomorrow morning f; bientôt=soon f
samedi prochain=next Saturday f; dimanche prochain=next Sunday f; chaque jour=every day h; chaque semaine=every week h
le lundi=on Mondays h; le vendredi=on Fridays h; le dimanche=on Sundays h; le matin=in the morning h
le soir=in the evening h; l'après-midi=in the afternoon h; chaque été=every summer h; chaque hiver=every winter h
"""

FREQUENCIES = "toujours=always; souvent=often; parfois=sometimes; rarement=rarely"

PREPOSITIONS = "dans=in; à=at; devant=in front of; derrière=behind; près de=near"

# places where one is sur, not dans or à
SURFACES = "plage; île; montagne; pont"

STATES = "faim=hungry; soif=thirsty; froid=cold; chaud=hot; peur=afraid; raison=right; tort=wrong; sommeil=sleepy"

WEATHER = """
il pleut=it is raining; il neige=it is snowing; il fait froid=it is cold; il fait chaud=it is hot
il fait beau=the weather is nice; il y a du vent=it is windy; il fait nuit=it is dark
"""

PHRASES = """
bonjour=hello; bonsoir=good evening; merci=thank you; au revoir=goodbye; s'il vous plaît=please; bonne nuit=good night
à demain=see you tomorrow; à bientôt=see you soon; de rien=you are welcome; oui=yes; non=no; enchanté=nice to meet you
excusez-moi=excuse me; bon appétit=enjoy your meal; bon voyage=have a good trip; bon anniversaire=happy birthday
"""
